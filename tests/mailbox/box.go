package main

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// Mail is one that was taken.
type Mail struct {
	// Counted from 1, and never given twice.
	ID         int                 `json:"id"`
	ReceivedAt time.Time           `json:"receivedAt"`
	From       string              `json:"from"`
	To         []string            `json:"to"`
	User       string              `json:"user"`
	Headers    map[string][]string `json:"headers"`
	MessageID  string              `json:"messageId"`
	Subject    string              `json:"subject"`
	Text       string              `json:"text"`
	HTML       string              `json:"html,omitempty"`
}

// Switches say what goes wrong. The zero value: nothing, and everybody may send.
type Switches struct {
	// What happens to a new connection: "" it is served, "drop" it is closed, "hang" nothing is ever said.
	Connect string `json:"connect,omitempty"`
	// What AUTH, MAIL, RCPT and the end of DATA are answered with instead, 4xx or 5xx.
	Auth int `json:"auth,omitempty"`
	Mail int `json:"mail,omitempty"`
	Rcpt int `json:"rcpt,omitempty"`
	Data int `json:"data,omitempty"`
	// Of RCPT, only for this address; for all where it is empty.
	RcptFor string `json:"rcptFor,omitempty"`
	// Keeps the mail and breaks off instead of saying so.
	DropAfterData bool `json:"dropAfterData,omitempty"`
	// The login that is asked for, if any.
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`
}

func (s Switches) check() error {
	if !slices.Contains([]string{"", "drop", "hang"}, s.Connect) {
		return fmt.Errorf("connect: %q is none of drop, hang", s.Connect)
	}
	for _, code := range []int{s.Auth, s.Mail, s.Rcpt, s.Data} {
		if code != 0 && (code < 400 || code > 599) {
			return fmt.Errorf("%d is neither 4xx nor 5xx", code)
		}
	}
	return nil
}

// Mailbox keeps mail and switches.
type Mailbox struct {
	lock     sync.Mutex
	mails    []Mail
	taken    int
	switches Switches
}

func (b *Mailbox) Mails() []Mail {
	b.lock.Lock()
	defer b.lock.Unlock()
	return append([]Mail{}, b.mails...)
}

func (b *Mailbox) Mail(id int) (Mail, bool) {
	b.lock.Lock()
	defer b.lock.Unlock()
	at := slices.IndexFunc(b.mails, func(mail Mail) bool { return mail.ID == id })
	if at < 0 {
		return Mail{}, false
	}
	return b.mails[at], true
}

func (b *Mailbox) Keep(mail Mail) {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.taken++
	mail.ID = b.taken
	b.mails = append(b.mails, mail)
}

func (b *Mailbox) Clear() {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.mails = nil
}

func (b *Mailbox) Switches() Switches {
	b.lock.Lock()
	defer b.lock.Unlock()
	return b.switches
}

func (b *Mailbox) Set(switches Switches) {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.switches = switches
}
