//! Style sheet, script and icon: embedded, and named after their content so that browsers may keep them for ever.

use std::sync::LazyLock;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// A file that pages refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asset {
    /// The file.
    pub bytes: &'static [u8],
    /// For the header `Content-Type`.
    pub content_type: &'static str,
}

/// A file and its name.
struct Named {
    path: String,
    asset: Asset,
}

const PREFIX: &str = "/assets/";

static CSS: LazyLock<Named> =
    LazyLock::new(|| named("openteam", "css", "text/css; charset=utf-8", include_bytes!("../../assets/openteam.css")));
static JS: LazyLock<Named> = LazyLock::new(|| {
    named("openteam", "js", "text/javascript; charset=utf-8", include_bytes!("../../assets/openteam.js"))
});
static ICON: LazyLock<Named> =
    LazyLock::new(|| named("icon", "svg", "image/svg+xml", include_bytes!("../../assets/icon.svg")));

/// 16 hexadecimal digits of SHA-256 name a file; nobody else chooses what is in them.
fn named(stem: &str, ending: &str, content_type: &'static str, bytes: &'static [u8]) -> Named {
    let digest = HEXLOWER.encode(&Sha256::digest(bytes));
    Named { path: format!("{PREFIX}{stem}-{}.{ending}", &digest[..16]), asset: Asset { bytes, content_type } }
}

/// The file of this name, the last part of its path. It never changes: answer it with a year and `immutable`.
#[must_use]
pub fn asset(name: &str) -> Option<Asset> {
    let all = [&CSS, &JS, &ICON];
    all.into_iter().find(|it| it.path.strip_prefix(PREFIX) == Some(name)).map(|it| it.asset)
}

/// The style sheet's path.
#[must_use]
pub fn css_path() -> &'static str {
    &CSS.path
}

/// The script's path.
#[must_use]
pub fn js_path() -> &'static str {
    &JS.path
}

/// The icon's path.
#[must_use]
pub fn icon_path() -> &'static str {
    &ICON.path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assets_are_served_under_the_names_that_pages_use_and_no_others() {
        for path in [css_path(), js_path(), icon_path()] {
            assert!(asset(path.strip_prefix(PREFIX).unwrap()).is_some());
        }
        for name in ["", "openteam.css", "/openteam.css", "../assets/openteam.css", "openteam-0000000000000000.css"] {
            assert_eq!(asset(name), None);
        }
    }
}
