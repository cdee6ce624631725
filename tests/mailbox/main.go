// Command mailbox is an SMTP server that keeps what it is given and shows it, with switches for what can go wrong.
//
// It speaks TLS only, from the first byte or by STARTTLS, with a certificate of an authority that it makes at its start.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
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
		ca    = flag.String("ca", "", "file to write the authority to, PEM; it is at /ca.crt too")
	)
	flag.Parse()
	if err := run(*smtps, *start, *api, strings.Split(*names, ","), *ca); err != nil {
		log.Fatal(err)
	}
}

func run(smtps, start, api string, names []string, ca string) error {
	authority, certificate, err := makeCertificate(names)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	if ca != "" {
		if err := os.WriteFile(ca, authority, 0o644); err != nil {
			return err
		}
	}
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
		server.Domain = names[0]
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
	go func() { failed <- http.Serve(listener, routes(box, authority)) }()
	log.Printf("mailbox: smtps %s, smtp %s, http %s", smtps, start, listener.Addr())
	return <-failed
}

func routes(box *Mailbox, authority []byte) http.Handler {
	mux := http.NewServeMux()
	addPages(mux, box)
	mux.HandleFunc("GET /ca.crt", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(authority) })
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
