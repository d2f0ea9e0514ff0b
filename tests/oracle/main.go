// Verifies a log with the Go project's own code (golang.org/x/mod/sumdb): the newest checkpoint, every hash tile and every entry
// of its tree, and that each older checkpoint is of the beginning of the same tree. It knows nothing of Chancery but where
// tlog-tiles has its files, and that log/checkpoints/ holds the older checkpoints.
//
//	oracle LOG VKEYS    LOG a folder with `checkpoint` and `tile/`, VKEYS a file of verifier keys, one a line
package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: oracle LOG VKEYS")
		os.Exit(2)
	}
	if err := verify(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
		os.Exit(1)
	}
}

func verify(log, vkeys string) error {
	keys, err := verifiers(vkeys)
	if err != nil {
		return err
	}
	newest, err := open(filepath.Join(log, "checkpoint"), keys)
	if err != nil {
		return err
	}
	hashes := tlog.TileHashReader(newest, tiles(log))
	if err := entries(log, newest, hashes); err != nil {
		return err
	}
	older, err := filepath.Glob(filepath.Join(log, "checkpoints", "*"))
	if err != nil {
		return err
	}
	for _, path := range older {
		tree, err := open(path, keys)
		if err != nil {
			return err
		}
		proof, err := tlog.ProveTree(newest.N, tree.N, hashes)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if err := tlog.CheckTree(proof, newest.N, newest.Hash, tree.N, tree.Hash); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	fmt.Printf("oracle: size %d, root %v, every entry included, %d checkpoints consistent\n", newest.N, newest.Hash, len(older))
	return nil
}

func verifiers(path string) (note.Verifiers, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var list []note.Verifier
	for _, line := range strings.Fields(string(data)) {
		key, err := note.NewVerifier(line)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", line, err)
		}
		list = append(list, key)
	}
	return note.VerifierList(list...), nil
}

// open reads a checkpoint whose every signature is of a key that was given.
func open(path string, keys note.Verifiers) (tlog.Tree, error) {
	var tree tlog.Tree
	data, err := os.ReadFile(path)
	if err != nil {
		return tree, err
	}
	signed, err := note.Open(data, keys)
	if err != nil {
		return tree, fmt.Errorf("%s: %w", path, err)
	}
	lines := strings.Split(signed.Text, "\n")
	if len(lines) != 4 || lines[3] != "" || lines[0] != signed.Sigs[0].Name {
		return tree, fmt.Errorf("%s: not three lines, or not of its signer's log", path)
	}
	if tree.N, err = strconv.ParseInt(lines[1], 10, 64); err != nil {
		return tree, fmt.Errorf("%s: %w", path, err)
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return tree, fmt.Errorf("%s: no root", path)
	}
	copy(tree.Hash[:], root)
	return tree, nil
}

// entries checks that each entry of the bundles is included where it stands, and that they alone make the tree.
func entries(log string, tree tlog.Tree, hashes tlog.HashReader) error {
	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var found []tlog.Hash
		for _, index := range indexes {
			found = append(found, stored[index])
		}
		return found, nil
	})
	var data []byte
	for n := int64(0); n < tree.N; n++ {
		if n%256 == 0 {
			tile := tlog.Tile{H: 8, L: 0, N: n / 256, W: int(min(256, tree.N-n))}
			var err error
			if data, err = os.ReadFile(filepath.Join(log, strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1))); err != nil {
				return err
			}
		}
		if len(data) < 2 || len(data)-2 < int(binary.BigEndian.Uint16(data)) {
			return fmt.Errorf("entry %d: the bundle ends within it", n)
		}
		entry := data[2 : 2+binary.BigEndian.Uint16(data)]
		data = data[2+len(entry):]
		proof, err := tlog.ProveRecord(tree.N, n, hashes)
		if err != nil {
			return fmt.Errorf("entry %d: %w", n, err)
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, n, tlog.RecordHash(entry)); err != nil {
			return fmt.Errorf("entry %d: %w", n, err)
		}
		more, err := tlog.StoredHashes(n, entry, read)
		if err != nil {
			return err
		}
		stored = append(stored, more...)
		if (n%256 == 255 || n == tree.N-1) && len(data) != 0 {
			return fmt.Errorf("entry %d: more follows in its bundle", n)
		}
	}
	root, err := tlog.TreeHash(tree.N, read)
	if err != nil {
		return err
	}
	if root != tree.Hash {
		return fmt.Errorf("the entries make the root %v", root)
	}
	return nil
}

// tiles reads hash tiles; TileHashReader checks them against the tree.
type tiles string

func (log tiles) Height() int { return 8 }

func (log tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range wanted {
		data, err := os.ReadFile(filepath.Join(string(log), strings.Replace(tile.Path(), "tile/8/", "tile/", 1)))
		if err != nil {
			return nil, err
		}
		found = append(found, data)
	}
	return found, nil
}

func (log tiles) SaveTiles([]tlog.Tile, [][]byte) {}
