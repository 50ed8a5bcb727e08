package protocol

import "github.com/minogrpc/session/mino"

// roster finds the caller's own value of an address. It has every player once.
type roster struct {
	addrs []mino.Address
	keys  []string
	index map[string]int
}

// newRoster returns a roster of the addresses, in their order.
func newRoster(addrs ...mino.Address) roster {
	r := roster{index: make(map[string]int, len(addrs))}
	for _, addr := range addrs {
		r.add(addr)
	}

	return r
}

// rosterOf is newRoster for players, which may be nil.
func rosterOf(players mino.Players) roster {
	r := newRoster()
	if players == nil {
		return r
	}

	for it := players.AddressIterator(); it.HasNext(); {
		r.add(it.GetNext())
	}

	return r
}

// add adds the address, unless it is there already.
func (r *roster) add(addr mino.Address) {
	key := keyOf(addr)
	if _, found := r.index[key]; found {
		return
	}

	r.index[key] = len(r.addrs)
	r.addrs = append(r.addrs, addr)
	r.keys = append(r.keys, key)
}

// find returns the index of an address, which may be of another type than that of the caller.
func (r *roster) find(addr mino.Address) (int, bool) {
	if i, found := r.index[keyOf(addr)]; found {
		return i, true
	}

	for i, own := range r.addrs {
		if addr != nil && own != nil && addr.Equal(own) {
			return i, true
		}
	}

	return 0, false
}

// keyOf returns the text of an address, or an empty one if it has none.
func keyOf(addr mino.Address) string {
	if addr == nil {
		return ""
	}

	text, err := addr.MarshalText()
	if err != nil {
		return ""
	}

	return string(text)
}
