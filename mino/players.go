package mino

// AddressIterator goes through a list of addresses. It belongs to one goroutine.
type AddressIterator interface {
	// Seek moves to an index. The index of the first address is 0. After an index beyond the end
	// there is no next address; an index below 0 counts as 0.
	Seek(int)

	// HasNext tells whether GetNext has an address to return.
	HasNext() bool

	// GetNext returns the next address, or nil when there is none.
	GetNext() Address
}

// Players is an ordered and immutable list of the nodes that take part in a call or a stream.
type Players interface {
	// Take returns the players at the indices that the filters select, in the order of the
	// selection. The filters start with an empty selection. Take skips indices that the list does
	// not have.
	Take(...FilterUpdater) Players

	// AddressIterator returns a new iterator over the addresses.
	AddressIterator() AddressIterator

	// Len returns the number of players.
	Len() int
}

// addresses implements Players. It is never written to after it was made.
type addresses []Address

// NewAddresses returns the players with these addresses, in this order. The slice
// is copied.
func NewAddresses(addrs ...Address) Players {
	return append(make(addresses, 0, len(addrs)), addrs...)
}

// Take implements Players.
func (a addresses) Take(updaters ...FilterUpdater) Players {
	indices := ApplyFilters(updaters).Indices
	taken := make(addresses, 0, len(indices))

	for _, i := range indices {
		if i >= 0 && i < len(a) {
			taken = append(taken, a[i])
		}
	}

	return taken
}

// AddressIterator implements Players.
func (a addresses) AddressIterator() AddressIterator {
	return NewAddressIterator(a)
}

// Len implements Players.
func (a addresses) Len() int {
	return len(a)
}

// iterator implements AddressIterator.
type iterator struct {
	addrs []Address
	next  int
}

// NewAddressIterator returns an iterator over the slice. Nobody may write to the slice while the
// iterator is in use.
func NewAddressIterator(addrs []Address) AddressIterator {
	return &iterator{addrs: addrs}
}

// Seek implements AddressIterator.
func (it *iterator) Seek(index int) {
	it.next = max(index, 0)
}

// HasNext implements AddressIterator.
func (it *iterator) HasNext() bool {
	return it.next < len(it.addrs)
}

// GetNext implements AddressIterator.
func (it *iterator) GetNext() Address {
	if !it.HasNext() {
		return nil
	}

	addr := it.addrs[it.next]
	it.next++

	return addr
}
