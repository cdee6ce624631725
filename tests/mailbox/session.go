package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset"
	"github.com/emersion/go-message/mail"
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// moody does to connections what the switches say.
type moody struct {
	net.Listener
	box *Mailbox
}

func (l *moody) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		switch l.box.Switches().Connect {
		case "drop":
			_ = conn.Close()
		case "hang":
			// Held, and never answered, until the client goes.
			go func() {
				_, _ = io.Copy(io.Discard, conn)
				_ = conn.Close()
			}()
		default:
			return conn, nil
		}
	}
}

type session struct {
	box  *Mailbox
	conn *smtp.Conn
	user string
	from string
	to   []string
}

// refusal repeats what it was told, as real servers do: whoever logs it has logged an address.
func refusal(code int, about string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 7, 1}, Message: "the mailbox refuses " + about}
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		switches := s.box.Switches()
		if switches.Auth != 0 {
			return refusal(switches.Auth, user)
		}
		if user != switches.Username || password != switches.Password {
			return refusal(535, user)
		}
		s.user = user
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if _, encrypted := s.conn.TLSConnectionState(); !encrypted {
		return refusal(530, "mail without TLS")
	}
	switches := s.box.Switches()
	if switches.Mail != 0 {
		return refusal(switches.Mail, from)
	}
	if switches.Username != "" && s.user == "" {
		return refusal(530, "mail without a login")
	}
	s.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	switches := s.box.Switches()
	if switches.Rcpt != 0 && (switches.RcptFor == "" || switches.RcptFor == to) {
		return refusal(switches.Rcpt, to)
	}
	s.to = append(s.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	kept, err := read(r)
	if err != nil {
		return refusal(554, fmt.Sprintf("what is no mail: %v", err))
	}
	switches := s.box.Switches()
	if switches.Data != 0 {
		return refusal(switches.Data, strings.Join(s.to, " "))
	}
	kept.ReceivedAt, kept.From, kept.To, kept.User = time.Now().UTC(), s.from, s.to, s.user
	s.box.Keep(kept)
	if switches.DropAfterData {
		_ = s.conn.Conn().Close()
	}
	return nil
}

func (s *session) Reset() { s.from, s.to = "", nil }

func (s *session) Logout() error { return nil }

func read(r io.Reader) (Mail, error) {
	var kept Mail
	entity, err := message.Read(r)
	if err != nil {
		return kept, err
	}
	kept.Headers = entity.Header.Map()
	header := mail.Header{Header: entity.Header}
	if kept.Subject, err = header.Subject(); err != nil {
		return kept, err
	}
	if kept.MessageID, err = header.MessageID(); err != nil {
		return kept, err
	}
	reader := mail.NewReader(entity)
	for {
		part, err := reader.NextPart()
		if errors.Is(err, io.EOF) {
			return kept, nil
		} else if err != nil {
			return kept, err
		}
		inline, ok := part.Header.(*mail.InlineHeader)
		if !ok {
			return kept, errors.New("an attachment")
		}
		body, err := io.ReadAll(part.Body)
		if err != nil {
			return kept, err
		}
		kind, _, err := inline.ContentType()
		if err != nil {
			return kept, err
		}
		switch kind {
		case "text/plain":
			kept.Text += strings.ReplaceAll(string(body), "\r\n", "\n")
		case "text/html":
			kept.HTML += strings.ReplaceAll(string(body), "\r\n", "\n")
		default:
			return kept, errors.New("a part of type " + kind)
		}
	}
}
