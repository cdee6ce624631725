//! Every page, with ordinary, empty, wrong and hostile data.

mod markup;
mod samples;

use std::{collections::BTreeSet, fs, path::PathBuf, process::Command};

use askama::Template;
use markup::{Element, Markup};
use samples::{Sample, hostile, ordinary, samples};

use super::*;

/// What a page and its assets may weigh, uncompressed.
const LIMIT: usize = 60 * 1024;

fn all() -> Vec<Sample> {
    let hostile = samples(hostile).into_iter().map(|it| Sample { name: format!("hostile-{}", it.name), ..it });
    samples(ordinary).into_iter().chain(hostile).collect()
}

fn parsed(sample: &Sample) -> Markup {
    Markup::parse(&sample.html).unwrap_or_else(|wrong| panic!("{}: {wrong}", sample.name))
}

/// Holds for every page what `holds` asks of it.
#[track_caller]
fn everywhere(holds: impl Fn(&Markup) -> Result<(), String>) {
    for sample in all() {
        if let Err(wrong) = holds(&parsed(&sample)) {
            panic!("{}: {wrong}", sample.name);
        }
    }
}

#[test]
fn every_page_is_well_formed_and_has_language_title_and_one_heading() {
    everywhere(|page| {
        let one = |name: &str| page.one(name);
        if one("html")?.attribute("lang") != Some("en") {
            return Err("no language".into());
        }
        let (title, heading) = (one("title")?.text.trim().to_owned(), one("h1")?.text.trim().to_owned());
        one("main")?;
        if heading.is_empty() || title.trim_end_matches(" · OpenTeam").is_empty() || !title.ends_with(" · OpenTeam") {
            return Err(format!("title {title:?}, heading {heading:?}"));
        }
        let levels: Vec<u8> = page.elements().filter_map(Element::heading).collect();
        match levels.windows(2).find(|pair| pair[1] > pair[0] + 1) {
            Some(pair) => Err(format!("a heading {} follows a heading {}", pair[1], pair[0])),
            None => Ok(()),
        }
    });
}

#[test]
fn every_input_has_a_label_and_every_reference_leads_somewhere() {
    everywhere(|page| {
        let ids: BTreeSet<&str> = page.elements().filter_map(|it| it.attribute("id")).collect();
        let labelled: BTreeSet<&str> =
            page.named("label").filter_map(|it| it.attribute("for")).chain(page.inside_labels()).collect();
        for it in page.elements() {
            for name in ["for", "aria-describedby", "aria-labelledby", "popovertarget", "data-copy"] {
                for id in it.attribute(name).unwrap_or_default().split(' ').filter(|id| !id.is_empty()) {
                    if !ids.contains(id) {
                        return Err(format!("{name}={id} leads nowhere"));
                    }
                }
            }
            if let Some(fragment) = it.attribute("href").and_then(|href| href.strip_prefix('#'))
                && !ids.contains(fragment)
            {
                return Err(format!("#{fragment} leads nowhere"));
            }
            let asks = matches!(it.name.as_str(), "input" | "textarea" | "select");
            if asks && it.attribute("type") != Some("hidden") {
                let id = it.attribute("id").ok_or("a field without id")?;
                if !labelled.contains(id) {
                    return Err(format!("{id} has no label"));
                }
            }
        }
        Ok(())
    });
}

#[test]
fn every_page_keeps_to_the_content_security_policy() {
    everywhere(|page| {
        for it in page.elements() {
            let inline = it.attributes.iter().find(|(name, _)| *name == "style" || name.starts_with("on"));
            if let Some((name, _)) = inline {
                return Err(format!("{} has {name}", it.name));
            }
            let embeds = ["style", "iframe", "object", "embed", "base", "img", "video", "audio", "use", "image"];
            if embeds.contains(&it.name.as_str()) {
                return Err(format!("there is a {}", it.name));
            }
            if it.name == "script" && (it.attribute("src") != Some(js_path()) || !it.text.trim().is_empty()) {
                return Err("a script that is not ours".into());
            }
            for name in ["href", "src", "action", "formaction", "data-live"] {
                let Some(to) = it.attribute(name) else { continue };
                let own = to.starts_with('/') && !to.starts_with("//") || to.starts_with('#');
                let writes = name == "href" && to.starts_with("mailto:");
                if !own && !writes {
                    return Err(format!("{name} leads away: {to}"));
                }
            }
        }
        Ok(())
    });
}

#[test]
fn every_form_posts_or_searches_and_every_button_is_in_one_or_says_what_it_is() {
    everywhere(|page| {
        // What only looks is in the address.
        let looks =
            |form: &Element| form.attribute("method") == Some("get") && form.attribute("role") == Some("search");
        if let Some(form) = page.named("form").find(|it| it.attribute("method") != Some("post") && !looks(it)) {
            return Err(format!("the form to {:?} does not post", form.attribute("action")));
        }
        let loose = page.named("button").find(|it| !it.within("form") && it.attribute("type") != Some("button"));
        if loose.is_some() {
            return Err("a button outside of a form".into());
        }
        match page.named("button").chain(page.named("a")).find(|it| it.label().is_empty()) {
            Some(it) => Err(format!("a {} that says nothing", it.name)),
            None => Ok(()),
        }
    });
}

#[test]
fn a_page_with_all_it_loads_stays_within_60_kib() {
    let loaded: usize = [css_path(), js_path(), icon_path()]
        .map(|path| asset(path.strip_prefix("/assets/").unwrap()).unwrap().bytes.len())
        .iter()
        .sum();
    for sample in samples(ordinary) {
        let size = sample.html.len() + loaded;
        assert!(size <= LIMIT, "{}: {size} bytes", sample.name);
    }
}

#[test]
fn assets_load_nothing_and_make_no_html() {
    let text = |path: &str| str::from_utf8(asset(path.strip_prefix("/assets/").unwrap()).unwrap().bytes).unwrap();
    for needle in ["url(", "@import", "http:", "https:", "expression"] {
        assert!(!text(css_path()).contains(needle), "{needle}");
    }
    for needle in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval", "Function(", "http"] {
        assert!(!text(js_path()).contains(needle), "{needle}");
    }
    assert!(!text(icon_path()).contains("<script"));
}

#[test]
fn what_people_typed_is_text_wherever_it_shows() {
    for sample in samples(hostile) {
        assert!(!sample.html.contains(samples::SCRIPT), "{}", sample.name);
    }
}

#[test]
fn a_form_keeps_what_was_typed_and_points_at_what_is_wrong() {
    let page = ConnectionNew {
        name: Field::wrong("Acme & Söhne", "Another connection has this name."),
        marketplaces_error: Some("Tick at least one marketplace.".into()),
        ..samples::connection_new(ordinary)
    };
    let page = Markup::parse(&page.render().unwrap()).unwrap();
    assert!(page.one("title").unwrap().text.starts_with("Error: "));
    let name = page.by_id("name").unwrap();
    assert_eq!(name.attribute("value"), Some("Acme & Söhne"));
    assert_eq!(name.attribute("aria-invalid"), Some("true"));
    assert_eq!(name.attribute("aria-describedby"), Some("name-hint name-error"));
    assert_eq!(page.by_id("name-error").unwrap().text.trim(), "Another connection has this name.");
    let links: Vec<_> = page.named("a").filter(|it| it.within("main")).filter_map(|it| it.attribute("href")).collect();
    assert_eq!(links, ["#name", "#marketplaces"]);
    assert!(page.by_id("region-EU").unwrap().attribute("checked").is_some());
    assert!(page.by_id("m-A1PA6795UKMFR9").unwrap().attribute("checked").is_some());
    assert!(page.by_id("m-ATVPDKIKX0DER").unwrap().attribute("checked").is_none());
}

#[test]
fn a_filter_keeps_what_was_typed_and_points_at_what_is_wrong() {
    let page = Markup::parse(&samples::wrongly_filtered(ordinary).render().unwrap()).unwrap();
    assert!(page.one("title").unwrap().text.starts_with("Error: "));
    let links: Vec<_> =
        page.named("a").filter_map(|it| it.attribute("href")).filter(|to| to.starts_with('#')).collect();
    assert_eq!(links, ["#main", "#connection", "#what", "#outcome", "#who", "#from", "#to", "#text"]);
    for link in &links[1..] {
        let field = page.by_id(&link[1..]).unwrap();
        assert_eq!(field.attribute("aria-invalid"), Some("true"), "{link}");
        let described = field.attribute("aria-describedby").unwrap();
        assert!(described.split(' ').any(|id| id == format!("{}-error", &link[1..])), "{link}: {described}");
    }
    // As text: a browser would leave a field for dates empty.
    let from = page.by_id("from").unwrap();
    assert_eq!((from.attribute("type"), from.attribute("value")), (Some("text"), Some("yesterday")));
    assert!(page.one("details").unwrap().attribute("open").is_some());
    let chosen: Vec<_> = page.named("option").filter(|it| it.attribute("selected").is_some()).collect();
    assert_eq!(chosen.iter().map(|it| it.text.as_str()).collect::<Vec<_>>(), ["Refused"]);
    assert!(!page.elements().any(|it| it.attribute("download").is_some()), "nothing was looked for");
}

#[test]
fn a_pasted_token_and_a_typed_code_are_never_shown_again() {
    let code = SignInCode { code: Field::wrong("K7QM2XWD", "Wrong."), minutes: 10, ..SignInCode::default() };
    assert!(!code.render().unwrap().contains("K7QM2XWD"));
    let page = ConnectionNew { token_error: Some("Wrong.".into()), ..samples::connection_new(ordinary) };
    let page = Markup::parse(&page.render().unwrap()).unwrap();
    assert_eq!(page.by_id("token").unwrap().text, "");
}

#[test]
fn who_may_do_nothing_sees_no_form_but_the_one_to_sign_out() {
    let nothing = |html: String| {
        let page = Markup::parse(&html).unwrap();
        let forms: Vec<_> = page.named("form").filter_map(|it| it.attribute("action")).map(str::to_owned).collect();
        assert_eq!(forms, ["/sign-out"]);
    };
    let mut shell = samples::shell(ordinary);
    shell.team.as_mut().unwrap().may_contain = false;
    let place = shell.team.clone().unwrap();
    let connection = Connection { may: ConnectionMay::default(), ..samples::connection(ordinary) };
    nothing(connection.render().unwrap());
    let mut tokens = Tokens { may_issue: false, may_revoke_all: None, ..samples::tokens(ordinary) };
    for token in &mut tokens.tokens {
        (token.may_revoke, token.may_contain) = (false, false);
    }
    nothing(tokens.render().unwrap());
    let team = TeamPage { may_connect: false, may_issue: false, place, next: vec![], ..samples::team(ordinary) };
    let html = team.render().unwrap();
    assert!(!html.contains("/connections/new") && !html.contains("/contain") && !html.contains("/tokens/new"));
    nothing(html);
}

#[test]
fn a_state_is_told_by_a_word_and_a_shape_and_not_by_colour_alone() {
    let shapes: BTreeSet<String> = [Tone::Good, Tone::Wait, Tone::Warn, Tone::Bad, Tone::Off]
        .map(|tone| {
            let html = Status::new(tone, "Word").render().unwrap();
            assert!(html.contains("<span>Word</span>"));
            html[html.find("<svg").unwrap()..html.find("</svg>").unwrap()].to_owned()
        })
        .into();
    assert_eq!(shapes.len(), 5);
}

#[test]
fn a_time_is_utc_to_the_second_for_machines_and_to_the_minute_for_people() {
    let when = When("2026-11-07T21:20:59.75Z".parse().unwrap());
    let html = when.render().unwrap();
    assert_eq!(html, r#"<time datetime="2026-11-07T21:20:59Z">7 Nov 2026, 21:20 UTC</time>"#);
}

#[test]
fn live_state_is_one_line_of_text_whatever_is_in_it() {
    let steps = [Step { title: "Consent".into(), state: StepState::Failed, text: "a\nb\r\n\n<b>".into() }];
    let json = LiveStatus::new(&Status::new(Tone::Bad, "x\n\ny"), "s\r", &steps, true).to_json();
    assert!(!json.contains(['\n', '\r']));
    let read: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&read["tone"], &read["word"], &read["over"]), (&"bad".into(), &"x\n\ny".into(), &true.into()));
    assert_eq!(read["steps"][0], serde_json::json!({"state": "failed", "word": "Failed", "text": "a\nb\r\n\n<b>"}));
}

#[test]
fn a_connection_that_is_followed_has_every_place_the_script_writes_to() {
    let page = Markup::parse(&samples::connection(ordinary).render().unwrap()).unwrap();
    for place in ["data-live", "data-status", "data-status-word", "data-summary", "data-changed", "data-fallback"] {
        assert_eq!(page.elements().filter(|it| it.attribute(place).is_some()).count(), 1, "{place}");
    }
    for place in ["data-state", "data-word", "data-text"] {
        assert_eq!(page.elements().filter(|it| it.attribute(place).is_some()).count(), 4, "{place}");
    }
}

#[test]
fn the_pasted_lines_save_address_authority_and_token_for_their_owner_only() {
    let page = samples::token_issued(ordinary);
    let home = written().join("home");
    fs::create_dir_all(&home).unwrap();
    let save = &page.clients()[0].snippets[0].text;
    let shell = Command::new("sh").arg("-ec").arg(save).env("HOME", &home).status().unwrap();
    assert!(shell.success());
    let read = |name: &str| fs::read_to_string(home.join(".openteam").join(name)).unwrap();
    assert_eq!(read("url"), format!("{}\n", page.gateway));
    assert_eq!(read("ca.crt").trim(), page.authority.trim());
    assert_eq!(read("token"), secrecy::ExposeSecret::expose_secret(&page.token));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(home.join(".openteam/token")).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
    fs::remove_dir_all(home).unwrap();
}

#[test]
fn every_line_for_a_shell_can_be_read_by_one() {
    let clients = samples::token_issued(ordinary).clients();
    let shell = ["save-files", "curl-call", "python-run", "node-run", "kubernetes-secret"];
    let lines: Vec<_> = clients.iter().flat_map(|it| &it.snippets).filter(|it| shell.contains(&it.id)).collect();
    assert_eq!(lines.len(), shell.len());
    for it in lines {
        assert!(Command::new("sh").args(["-nc", &it.text]).status().unwrap().success(), "{}", it.id);
        assert!(!it.text.lines().next_back().unwrap().ends_with('\\'), "{}", it.id);
    }
}

#[test]
fn the_libraries_to_install_are_the_very_versions_that_are_tried() {
    let clients = samples::token_issued(ordinary).clients();
    let text = |id: &str| clients.iter().flat_map(|it| &it.snippets).find(|it| it.id == id).unwrap().text.as_str();
    let after = |id: &str, words: &str| text(id).split_once(words).unwrap().1.lines().next().unwrap().to_owned();
    let python = include_str!("../../../tests/clients/python-amazon-sp-api/requirements.txt");
    let wanted = after("python-run", "pip install ");
    assert!(python.lines().any(|line| line.trim_end_matches(" \\") == wanted), "{wanted}");
    let node: serde_json::Value =
        serde_json::from_str(include_str!("../../../tests/clients/amazon-sp-api/package.json")).unwrap();
    let (name, version) = (&"amazon-sp-api", &node["dependencies"]["amazon-sp-api"]);
    assert_eq!(after("node-run", "npm install "), format!("{name}@{}", version.as_str().unwrap()));
}

#[test]
fn only_the_lines_that_save_it_hold_the_token() {
    let page = samples::token_issued(ordinary);
    let token = secrecy::ExposeSecret::expose_secret(&page.token);
    let clients = page.clients();
    let texts = clients.iter().flat_map(|client| &client.snippets);
    let holding: Vec<_> = texts.filter(|it| it.text.contains(token)).map(|it| it.id).collect();
    assert_eq!(holding, ["save-files"]);
    assert!(clients.iter().flat_map(|it| &it.snippets).all(|it| !it.text.contains("{{")));
}

#[test]
fn a_mail_says_the_same_as_text_and_as_html_and_has_no_link_that_signs_in() {
    let code = CodeMail { code: "K7QM-2XWD", minutes: 10, origin: "https://portal.openteam.example" };
    let (contact, origin) = (Some("ops@openteam.example"), "https://portal.openteam.example");
    let lock = LockMail { failures: 10, origin, minutes: Some(60), contact };
    let bare = LockMail { minutes: None, contact: None, ..lock };
    for (text, html, words) in [
        (code.text(), code.html(), vec!["K7QM-2XWD", "10 minutes", origin]),
        (lock.text(), lock.html(), vec!["10 wrong codes", "for 60 minutes", origin, "ops@openteam.example"]),
        (bare.text(), bare.html(), vec!["10 wrong codes", origin]),
    ] {
        let page = Markup::parse(&html).unwrap();
        for word in words {
            assert!(text.contains(word) && html.contains(word), "{word}");
        }
        assert!(page.named("a").all(|it| it.attribute("href").is_some_and(|to| to.starts_with("mailto:"))));
        assert!(!text.contains("None") && !text.contains("{%"));
        assert!(text.lines().all(|line| line.len() <= 78), "{text}");
    }
}

#[test]
fn nothing_in_a_mail_is_html() {
    let mail = CodeMail { code: samples::SCRIPT, minutes: 10, origin: samples::SCRIPT };
    assert!(!mail.html().contains(samples::SCRIPT));
    Markup::parse(&mail.html()).unwrap();
}

/// Where pages are written to be looked at, and tests put what they need.
fn written() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/portal-pages")
}

/// For looking at them: any web server that serves this directory shows the pages as people see them.
#[test]
fn every_page_can_be_looked_at() {
    let place = written();
    fs::create_dir_all(place.join("assets")).unwrap();
    for path in [css_path(), js_path(), icon_path()] {
        let name = path.strip_prefix("/assets/").unwrap();
        fs::write(place.join("assets").join(name), asset(name).unwrap().bytes).unwrap();
    }
    for sample in all() {
        fs::write(place.join(format!("{}.html", sample.name)), sample.html).unwrap();
    }
}
