package existing

import (
	"encoding/json"
	"errors"
	"fmt"
)

// packet is what the tree router sends. The order of the fields is that of the JSON.
type packet struct {
	Source  []byte   `json:"Source"`
	Dest    [][]byte `json:"Dest"`
	Message []byte   `json:"Message"`
}

func newPacket(source Address, to []Address, msg []byte) packet {
	return packet{Source: []byte(source), Dest: bytesOf(to), Message: msg}
}

// to returns the destinations.
func (p packet) to() []Address { return addressesOf(p.Dest) }

// only returns the same packet for some of its destinations.
func (p packet) only(to []Address) packet {
	p.Dest = bytesOf(to)

	return p
}

func (p packet) encode() ([]byte, error) { return json.Marshal(p) }

func decodeJSONPacket(data []byte) (packet, error) {
	var p packet
	if err := json.Unmarshal(data, &p); err != nil {
		return packet{}, fmt.Errorf("packet malformed: %w", err)
	}

	return p, nil
}

// handshake tells a child what it must be able to route to, and how high its own tree is.
type handshake struct {
	Height    int      `json:"Height"`
	Addresses [][]byte `json:"Addresses"`
}

func newHandshake(height int, players []Address) handshake {
	return handshake{Height: height, Addresses: bytesOf(players)}
}

func (h handshake) encode() ([]byte, error) { return json.Marshal(h) }

func decodeHandshake(data []byte) (handshake, error) {
	var h *handshake

	err := json.Unmarshal(data, &h)
	if err == nil && h == nil {
		err = errors.New("null")
	}

	if err != nil {
		return handshake{}, fmt.Errorf("handshake malformed: %w", err)
	}

	return *h, nil
}

// bytesOf never returns nil, which JSON would write as null.
func bytesOf(addrs []Address) [][]byte {
	texts := make([][]byte, len(addrs))
	for i, addr := range addrs {
		texts[i] = []byte(addr)
	}

	return texts
}

func addressesOf(texts [][]byte) []Address {
	addrs := make([]Address, len(texts))
	for i, text := range texts {
		addrs[i] = Address(text)
	}

	return addrs
}
