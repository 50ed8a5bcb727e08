package certs

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
)

const (
	// fileSuffix ends the name of a file that holds a chain.
	fileSuffix = ".pem"

	// maxFileName is what file systems allow for a name, in bytes.
	maxFileName = 255

	// escape comes before the two hexadecimal digits of a byte that a name spells
	// out. No shell and no file system gives it a meaning.
	escape = '_'

	// plainBytes are the bytes that stand for themselves in a name.
	plainBytes = "abcdefghijklmnopqrstuvwxyz0123456789.-"
)

// fileName returns the name of the file for the node at the address, which must be
// in its follower form. It holds all of its text form, so that another node has
// another name; also where upper and lower case are the same, as there is no upper
// case in it. It begins with the letter of the role, which is spelled out, so that
// it is never hidden, a device, or the way out of the folder.
func fileName(addr mino.Address) (string, error) {
	text, err := addr.MarshalText()
	if err != nil {
		return "", fmt.Errorf("text form of %v: %w", addr, err)
	}

	var name strings.Builder

	for _, b := range text {
		if strings.IndexByte(plainBytes, b) >= 0 {
			name.WriteByte(b)
		} else {
			fmt.Fprintf(&name, "%c%02x", escape, b)
		}
	}

	name.WriteString(fileSuffix)

	if name.Len() > maxFileName {
		return "", fmt.Errorf("address of %d bytes is too long for the name of a file", len(text))
	}

	return name.String(), nil
}

// parseFileName returns the address that fileName makes the name of, in its
// follower form. It returns false for any other name.
func parseFileName(name string, factory mino.AddressFactory) (mino.Address, bool) {
	stem, found := strings.CutSuffix(name, fileSuffix)
	if !found {
		return nil, false
	}

	plain, escaped, more := strings.Cut(stem, string(escape))
	text := []byte(plain)

	for more {
		plain, escaped, more = strings.Cut(escaped, string(escape))
		if len(plain) < 2 {
			return nil, false
		}

		b, err := hex.DecodeString(plain[:2])
		if err != nil {
			return nil, false
		}

		text = append(append(text, b...), plain[2:]...)
	}

	addr := session.FollowerOf(factory.FromText(text))
	if addr == nil {
		return nil, false
	}

	// Some texts have several spellings, and some addresses several texts. Only one
	// of those files is the one that Store would replace.
	again, err := fileName(addr)

	return addr, err == nil && again == name
}
