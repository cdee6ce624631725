// Verifies an evidence bundle, written from docs/formats.md alone: go run main.go BUNDLE.tar KEY.pem
package main

import (
	"archive/tar"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"os"
)

func fail(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", arguments...)
	os.Exit(1)
}

func must[T any](value T, err error) T {
	if err != nil {
		fail("%v", err)
	}
	return value
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

func main() {
	files := map[string][]byte{}
	var order []string
	archive := tar.NewReader(must(os.Open(os.Args[1])))
	for {
		header, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			fail("archive: %v", err)
		}
		if _, twice := files[header.Name]; twice || header.Typeflag != tar.TypeReg {
			fail("%s: twice, or no plain file", header.Name)
		}
		files[header.Name] = must(io.ReadAll(archive))
		order = append(order, header.Name)
	}

	var manifest struct {
		Format, KeyID string
		Files         []struct {
			Path, SHA256 string
			Bytes        int
		}
	}
	if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil {
		fail("manifest.json: %v", err)
	}
	if manifest.Format != "openteam.dev/evidence/v1" {
		fail("manifest.json: format %q", manifest.Format)
	}
	var signature struct{ PublicKey, Signature string }
	if err := json.Unmarshal(files["manifest.sig"], &signature); err != nil {
		fail("manifest.sig: %v", err)
	}

	block, _ := pem.Decode(must(os.ReadFile(os.Args[2])))
	if block == nil {
		fail("no key")
	}
	key, ok := must(x509.ParsePKIXPublicKey(block.Bytes)).(ed25519.PublicKey)
	if !ok {
		fail("not an Ed25519 key")
	}
	signed := must(base64.StdEncoding.DecodeString(signature.Signature))
	if !ed25519.Verify(key, files["manifest.json"], signed) {
		fail("manifest.sig: no signature of this key")
	}
	if digest(key) != manifest.KeyID {
		fail("manifest.json: names another key")
	}

	if len(manifest.Files)+2 != len(files) {
		fail("%d files listed, %d there", len(manifest.Files), len(files)-2)
	}
	for at, file := range manifest.Files {
		content, there := files[file.Path]
		if !there || order[at+2] != file.Path {
			fail("%s: not at its place", file.Path)
		}
		if len(content) != file.Bytes || digest(content) != file.SHA256 {
			fail("%s: changed", file.Path)
		}
	}
	fmt.Printf("%d files, manifest %s, key %s\n", len(manifest.Files), digest(files["manifest.json"]), manifest.KeyID)
}
