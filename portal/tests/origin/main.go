// Tells which requests Go's http.CrossOriginProtection lets pass: a JSON list of requests on standard input, a list of as many
// true and false on standard output.
package main

import (
	"encoding/json"
	"log"
	"net/http"
	"os"
)

type request struct {
	Method  string
	Host    string
	Headers [][2]string
}

func main() {
	var requests []request
	if err := json.NewDecoder(os.Stdin).Decode(&requests); err != nil {
		log.Fatal(err)
	}
	protection := http.NewCrossOriginProtection()
	passes := make([]bool, len(requests))
	for at, asked := range requests {
		header := http.Header{}
		for _, one := range asked.Headers {
			header.Add(one[0], one[1])
		}
		passes[at] = protection.Check(&http.Request{Method: asked.Method, Host: asked.Host, Header: header}) == nil
	}
	if err := json.NewEncoder(os.Stdout).Encode(passes); err != nil {
		log.Fatal(err)
	}
}
