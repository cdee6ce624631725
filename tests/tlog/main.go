// Command tlog reads a log with the Go project's own packages for transparency logs, so that somebody else than the writer
// says what is in it.
//
//	tlog root DIR VKEY                        opens the checkpoint, checks every entry against the tree of its tiles, and
//	                                          prints "SIZE ROOT" (base64)
//	tlog record DIR VKEY INDEX                prints the inclusion proof of an entry, a hash a line
//	tlog tree DIR VKEY OLD OLD-ROOT           prints the consistency proof from an older size and root, a hash a line
//	tlog check-record ROOT SIZE INDEX LEAF    checks the inclusion proof on standard input, a hash a line
//	tlog check-tree ROOT SIZE OLD-ROOT OLD    checks the consistency proof on standard input
//	tlog cosignature VKEY                     opens the note on standard input with the key of a witness and prints the
//	                                          time of its cosignature
//	tlog cosign KEY                           cosigns the note on standard input, now, and prints the line
package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	log.SetFlags(0)
	args := os.Args[1:]
	if len(args) == 0 {
		log.Fatal("no command")
	}
	commands := map[string]struct {
		run  func([]string) error
		args int
	}{
		"root":         {root, 2},
		"record":       {record, 3},
		"tree":         {tree, 4},
		"check-record": {checkRecord, 4},
		"check-tree":   {checkTree, 4},
		"cosignature":  {cosignature, 1},
		"cosign":       {cosign, 1},
	}
	command, ok := commands[args[0]]
	if !ok || len(args)-1 != command.args {
		log.Fatalf("no command %q with %d arguments", args[0], len(args)-1)
	}
	if err := command.run(args[1:]); err != nil {
		log.Fatal(err)
	}
}

// directory reads the tiles of a log. It vouches for nothing; TileHashReader does.
type directory string

func (directory) Height() int { return 8 }

func (d directory) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	all := make([][]byte, len(tiles))
	for i, tile := range tiles {
		// Go's paths have the height in front.
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		bytes, err := os.ReadFile(filepath.Join(string(d), path))
		if err != nil {
			return nil, err
		}
		all[i] = bytes
	}
	return all, nil
}

func (directory) SaveTiles([]tlog.Tile, [][]byte) {}

// open reads the checkpoint, and the hashes that belong to it.
func open(dir, vkey string) (tlog.Tree, tlog.HashReader, error) {
	none := tlog.Tree{}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return none, nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		return none, nil, err
	}
	opened, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return none, nil, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		return none, nil, fmt.Errorf("not a checkpoint of %s: %q", verifier.Name(), opened.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return none, nil, err
	}
	hash, err := tlog.ParseHash(lines[2])
	if err != nil {
		return none, nil, err
	}
	tree := tlog.Tree{N: size, Hash: hash}
	return tree, tlog.TileHashReader(tree, directory(dir)), nil
}

func root(args []string) error {
	tree, hashes, err := open(args[0], args[1])
	if err != nil {
		return err
	}
	again, err := tlog.TreeHash(tree.N, hashes)
	if err != nil {
		return err
	}
	if again != tree.Hash {
		return fmt.Errorf("the tiles have the root %v", again)
	}
	for first := int64(0); first < tree.N; first += 256 {
		if err := entries(args[0], tree, hashes, first); err != nil {
			return err
		}
	}
	fmt.Println(tree.N, tree.Hash)
	return nil
}

// entries checks the bundle that begins at an index: each entry against the hash that the tree has for it, the first and the
// last also by a proof.
func entries(dir string, tree tlog.Tree, hashes tlog.HashReader, first int64) error {
	count := min(tree.N-first, 256)
	tile := tlog.Tile{H: 8, L: -1, N: first / 256, W: int(count)}
	path := strings.Replace(tile.Path(), "tile/8/data/", "tile/entries/", 1)
	bundle, err := os.ReadFile(filepath.Join(dir, path))
	if err != nil {
		return err
	}
	indexes := make([]int64, count)
	for i := range indexes {
		indexes[i] = tlog.StoredHashIndex(0, first+int64(i))
	}
	leaves, err := hashes.ReadHashes(indexes)
	if err != nil {
		return err
	}
	for i, leaf := range leaves {
		if len(bundle) < 2 {
			return fmt.Errorf("%s ends before entry %d", path, first+int64(i))
		}
		length := int(binary.BigEndian.Uint16(bundle))
		bundle = bundle[2:]
		if len(bundle) < length {
			return fmt.Errorf("%s ends within entry %d", path, first+int64(i))
		}
		if tlog.RecordHash(bundle[:length]) != leaf {
			return fmt.Errorf("entry %d is not what the tree has", first+int64(i))
		}
		bundle = bundle[length:]
		if i == 0 || i == len(leaves)-1 {
			index := first + int64(i)
			proof, err := tlog.ProveRecord(tree.N, index, hashes)
			if err != nil {
				return err
			}
			if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, leaf); err != nil {
				return err
			}
		}
	}
	if len(bundle) > 0 {
		return fmt.Errorf("%s holds more than its entries", path)
	}
	return nil
}

func record(args []string) error {
	tree, hashes, err := open(args[0], args[1])
	if err != nil {
		return err
	}
	index, err := strconv.ParseInt(args[2], 10, 64)
	if err != nil {
		return err
	}
	proof, err := tlog.ProveRecord(tree.N, index, hashes)
	for _, hash := range proof {
		fmt.Println(hash)
	}
	return err
}

func tree(args []string) error {
	tree, hashes, err := open(args[0], args[1])
	if err != nil {
		return err
	}
	old, err := strconv.ParseInt(args[2], 10, 64)
	if err != nil {
		return err
	}
	oldRoot, err := tlog.ParseHash(args[3])
	if err != nil {
		return err
	}
	proof, err := tlog.ProveTree(tree.N, old, hashes)
	if err != nil {
		return err
	}
	if err := tlog.CheckTree(proof, tree.N, tree.Hash, old, oldRoot); err != nil {
		return err
	}
	for _, hash := range proof {
		fmt.Println(hash)
	}
	return nil
}

func checkRecord(args []string) error {
	root, size, index, leaf, proof, err := claim(args)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(proof, size, root, index, leaf)
}

func checkTree(args []string) error {
	// The same four, an old root for the leaf and an old size for the index.
	root, size, old, oldRoot, proof, err := claim([]string{args[0], args[1], args[3], args[2]})
	if err != nil {
		return err
	}
	return tlog.CheckTree(proof, size, root, old, oldRoot)
}

// claim reads a root, a size, a smaller number and a hash, and a proof from standard input.
func claim(args []string) (root tlog.Hash, size, number int64, hash tlog.Hash, proof []tlog.Hash, err error) {
	var failed [4]error
	root, failed[0] = tlog.ParseHash(args[0])
	size, failed[1] = strconv.ParseInt(args[1], 10, 64)
	number, failed[2] = strconv.ParseInt(args[2], 10, 64)
	hash, failed[3] = tlog.ParseHash(args[3])
	err = errors.Join(failed[:]...)
	lines := bufio.NewScanner(os.Stdin)
	for err == nil && lines.Scan() {
		var one tlog.Hash
		one, err = tlog.ParseHash(lines.Text())
		proof = append(proof, one)
	}
	return root, size, number, hash, proof, errors.Join(err, lines.Err())
}

func cosignature(args []string) error {
	verifier, err := fnote.NewVerifierForCosignatureV1(args[0])
	if err != nil {
		return err
	}
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	opened, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return err
	}
	for _, signature := range opened.Sigs {
		time, err := fnote.CoSigV1Timestamp(signature)
		if err != nil {
			return err
		}
		fmt.Println(time.Unix())
	}
	return nil
}

func cosign(args []string) error {
	signer, err := fnote.NewSignerForCosignatureV1(args[0])
	if err != nil {
		return err
	}
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	body, _, found := strings.Cut(string(text), "\n\n")
	if !found {
		return errors.New("not a note")
	}
	signed, err := note.Sign(&note.Note{Text: body + "\n"}, signer)
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(string(signed)), "\n")
	fmt.Println(lines[len(lines)-1])
	return nil
}
