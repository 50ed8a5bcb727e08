package frames

// upward is what the two ends know of the way up behind the parent, which is the end that
// dials. A parent whose own way up is cut says so in every frame, so that no break loses it:
// the last frame that the child has read tells the present state.
type upward struct {
	// isCut is what this end says, or has heard. At the parent, told is set when it has ever said
	// that its way up is cut: only then the next stream needs a word about it at once.
	isCut, told bool
	// news is set at the child when the owner does not know yet what it has heard.
	news bool
}

// SetCut notes at the parent whether its way up is cut, and asks for a frame that says so.
func (m *Machine) SetCut(cut bool) {
	if !m.Cuts || !m.Dialler || m.isCut == cut || m.fault == lostTurn && !m.connected {
		return
	}

	m.isCut, m.told = cut, true
	m.beat = true
}

// hearCut notes at the child what a frame of the parent says.
func (m *Machine) hearCut(cut bool) {
	if !m.Cuts || m.Dialler || m.isCut == cut {
		return
	}

	m.isCut, m.news = cut, !m.news
}

// Turned returns what the parent says about its way up. It tells whether that is news, once.
func (m *Machine) Turned() (cut, news bool) {
	news = m.news
	m.news = false

	return m.isCut, news
}
