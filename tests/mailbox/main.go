// Command mailbox is an SMTP server that keeps what it is given and shows it, with switches for what can go wrong.
//
// It speaks TLS only, from the first byte or by STARTTLS, with a certificate that it is given, or one of an authority that it
// makes at its start.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"log"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"

	"crypto/tls"

	"github.com/emersion/go-smtp"
)

func main() {
	var (
		smtps = flag.String("smtps", "127.0.0.1:4465", "where to take mail over TLS from the first byte")
		start = flag.String("smtp", "127.0.0.1:4587", "where to take mail over STARTTLS")
		api   = flag.String("http", "127.0.0.1:4080", "where to show mail and take switches, in plain HTTP")
		names = flag.String("names", "localhost", "DNS names of the certificate, with commas")
		ca    = flag.String("ca", "", "file to write the authority to, PEM")
		cert  = flag.String("tls-cert", "", "file with the certificate, PEM, instead of one made here")
		key   = flag.String("tls-key", "", "file with its key")
	)
	flag.Parse()
	certificate, err := identity(strings.Split(*names, ","), *ca, *cert, *key)
	if err != nil {
		log.Fatalf("certificate: %v", err)
	}
	if err := run(*smtps, *start, *api, certificate); err != nil {
		log.Fatal(err)
	}
}

// identity is the certificate in a file, or one for these names whose authority is written to the file ca.
func identity(names []string, ca, cert, key string) (tls.Certificate, error) {
	if cert != "" {
		return tls.LoadX509KeyPair(cert, key)
	}
	authority, certificate, err := makeCertificate(names)
	if err == nil && ca != "" {
		err = os.WriteFile(ca, authority, 0o644)
	}
	return certificate, err
}

func run(smtps, start, api string, certificate tls.Certificate) error {
	box := &Mailbox{}
	config := &tls.Config{Certificates: []tls.Certificate{certificate}}
	failed := make(chan error)
	serve := func(address string, wrap func(net.Listener) net.Listener) error {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
			return &session{box: box, conn: c}, nil
		}))
		server.Domain = "mailbox"
		server.TLSConfig = config
		server.MaxMessageBytes = 1 << 20
		server.ErrorLog = log.New(os.Stderr, "", 0)
		go func() { failed <- server.Serve(wrap(&moody{Listener: listener, box: box})) }()
		return nil
	}
	if err := serve(smtps, func(l net.Listener) net.Listener { return tls.NewListener(l, config) }); err != nil {
		return err
	}
	if err := serve(start, func(l net.Listener) net.Listener { return l }); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", api)
	if err != nil {
		return err
	}
	go func() { failed <- http.Serve(listener, routes(box)) }()
	log.Printf("mailbox: smtps %s, smtp %s, http %s", smtps, start, listener.Addr())
	return <-failed
}

func routes(box *Mailbox) http.Handler {
	mux := http.NewServeMux()
	addPages(mux, box)
	mux.HandleFunc("GET /mails", func(w http.ResponseWriter, r *http.Request) {
		other := func(mail Mail) bool { return !mail.isFor(r.URL.Query().Get("to")) }
		answer(w, slices.DeleteFunc(box.Mails(), other))
	})
	mux.HandleFunc("DELETE /mails", func(w http.ResponseWriter, _ *http.Request) {
		box.Clear()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /switches", func(w http.ResponseWriter, _ *http.Request) { answer(w, box.Switches()) })
	mux.HandleFunc("PUT /switches", func(w http.ResponseWriter, r *http.Request) {
		var switches Switches
		decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16))
		decoder.DisallowUnknownFields()
		err := decoder.Decode(&switches)
		if err == nil {
			err = switches.check()
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		box.Set(switches)
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(value); err != nil && !errors.Is(err, net.ErrClosed) {
		log.Print(err)
	}
}
