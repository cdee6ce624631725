package main

import (
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"log"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// After how many seconds the list is asked for again.
const refresh = "5"

// What the list shows.
type list struct {
	// The part of an address that was asked for.
	To    string
	Mails []Mail
	// Everybody who was written to, once each, in order.
	Addresses []string
	// Whether it stays as it is.
	Still bool
}

func addPages(mux *http.ServeMux, box *Mailbox) {
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		shown := list{To: strings.TrimSpace(query.Get("to")), Still: query.Has("still")}
		for _, mail := range box.Mails() {
			shown.Addresses = append(shown.Addresses, mail.To...)
			if mail.isFor(shown.To) {
				shown.Mails = append(shown.Mails, mail)
			}
		}
		slices.Reverse(shown.Mails)
		slices.Sort(shown.Addresses)
		shown.Addresses = slices.Compact(shown.Addresses)
		if !shown.Still {
			w.Header().Set("Refresh", refresh)
		}
		show(w, "list", shown)
	})
	mux.HandleFunc("GET /mail/{id}", func(w http.ResponseWriter, r *http.Request) {
		if mail, found := asked(box, r); found {
			show(w, "mail", mail)
		} else {
			w.WriteHeader(http.StatusNotFound)
			show(w, "none", nil)
		}
	})
	// The mail's own HTML, as strange as it may be: nothing in it runs, and nothing is fetched for it.
	mux.HandleFunc("GET /mail/{id}/html", func(w http.ResponseWriter, r *http.Request) {
		mail, found := asked(box, r)
		if !found || mail.HTML == "" {
			http.NotFound(w, r)
			return
		}
		policy := "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		if _, err := w.Write([]byte(mail.HTML)); err != nil {
			log.Print(err)
		}
	})
}

// isFor tells whether an address of the mail has this part; an empty one is in all.
func (m Mail) isFor(part string) bool {
	has := func(to string) bool { return strings.Contains(strings.ToLower(to), strings.ToLower(part)) }
	return slices.ContainsFunc(m.To, has)
}

func asked(box *Mailbox, r *http.Request) (Mail, bool) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		return Mail{}, false
	}
	return box.Mail(id)
}

func show(w http.ResponseWriter, name string, data any) {
	w.Header().Set("Content-Security-Policy", policy)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if err := pages.ExecuteTemplate(w, name, data); err != nil {
		log.Print(err)
	}
}

// Only the one style below is used, and only mails are framed.
var policy = "default-src 'none'; style-src 'sha256-" + digest(style) +
	"'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.StdEncoding.EncodeToString(sum[:])
}

const style = `
*{box-sizing:border-box}
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif;background:Canvas;color:CanvasText}
body{max-width:48rem;margin:0 auto;padding:1rem}
h1{font-size:1.5rem}h2{font-size:1rem}
form{display:flex;flex-wrap:wrap;gap:.5rem;align-items:end}
label{display:grid}
input,button{font:inherit;min-height:2.75rem;padding:0 .75rem}
ol{list-style:none;padding:0}
li{border-top:1px solid color-mix(in srgb,currentColor 20%,transparent);padding:.5rem 0}
li a{display:block;font-weight:600;padding:.375rem 0}
dl{display:grid;grid-template-columns:auto 1fr;gap:0 1rem}dd{margin:0;overflow-wrap:anywhere}
pre{white-space:pre-wrap;overflow-wrap:anywhere;font-size:1rem;padding:1rem;
border:1px solid color-mix(in srgb,currentColor 20%,transparent)}
iframe{width:100%;height:32rem;resize:vertical;color-scheme:light;background:#fff;
border:1px solid color-mix(in srgb,currentColor 20%,transparent)}
`

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	// The very text that the policy has the digest of.
	"style": func() template.HTML { return "<style>" + style + "</style>" },
}).Parse(`
{{define "head"}}<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{{.}}</title>
{{style}}
</head>
<body>
<main>
{{end}}

{{define "foot"}}</main>
</body>
</html>
{{end}}

{{define "list"}}{{template "head" "Mailbox"}}
<h1>Mailbox</h1>
<form method="get" action="/">
<label>Mail to <input name="to" value="{{.To}}" list="addresses" autocomplete="off"></label>
<datalist id="addresses">{{range .Addresses}}<option value="{{.}}">{{end}}</datalist>
<button>Show</button>
</form>
{{if .Mails}}<ol>
{{range .Mails}}<li>
<a href="/mail/{{.ID}}">{{or .Subject "(no subject)"}}</a>
{{range .To}}{{.}} {{end}}· <time datetime="{{.ReceivedAt.Format "2006-01-02T15:04:05Z07:00"}}">{{.ReceivedAt.Format "2006-01-02 15:04:05"}} UTC</time>
</li>
{{end}}</ol>
{{else}}<p>No mail{{with .To}} to {{.}}{{end}} yet.</p>
{{end}}
<p>{{if .Still}}<a href="/?to={{.To}}">Look for new mail by itself</a>{{else}}New mail shows by itself. <a href="/?to={{.To}}&amp;still">Hold still</a>{{end}}</p>
{{template "foot"}}{{end}}

{{define "mail"}}{{template "head" .Subject}}
<p><a href="/">All mail</a></p>
<h1>{{or .Subject "(no subject)"}}</h1>
<dl>
<dt>From</dt><dd>{{.From}}</dd>
<dt>To</dt><dd>{{range .To}}{{.}} {{end}}</dd>
<dt>Received</dt><dd>{{.ReceivedAt.Format "2006-01-02 15:04:05"}} UTC</dd>
</dl>
<h2>Text</h2>
<pre>{{.Text}}</pre>
{{if .HTML}}<h2>HTML</h2>
<iframe title="The mail as HTML" src="/mail/{{.ID}}/html" sandbox></iframe>
{{end}}{{template "foot"}}{{end}}

{{define "none"}}{{template "head" "No such mail"}}
<h1>No such mail</h1>
<p>It was deleted, or the mailbox was started anew. <a href="/">All mail</a></p>
{{template "foot"}}{{end}}
`))
