package parcel

// dominance is how many times the room that it leaves one destination may hold. Alone it gets nine
// tenths of the box. Greedy ones get the same each, and k of them leave one part in 1 + 9k to
// whoever comes next. It takes no account of who is there, and no state.
const dominance = 9

// usage is a part of the bounds of a box.
type usage struct {
	packets, bytes int
}

// flow names what goes from one source to one destination.
type flow struct {
	dest, source string
}

func (u usage) plus(v usage) usage {
	return usage{packets: u.packets + v.packets, bytes: u.bytes + v.bytes}
}

func (u usage) minus(v usage) usage {
	return usage{packets: u.packets - v.packets, bytes: u.bytes - v.bytes}
}

// fits tells whether the room that is left is enough for somebody who holds that much. Nothing
// overflows, also where an int has 32 bits: it divides what is held instead.
func (u usage) fits(left usage) bool {
	return part(u.packets) <= left.packets && part(u.bytes) <= left.bytes
}

// spare returns how much more somebody could take who holds that much.
func (u usage) spare(left usage) usage {
	return usage{packets: spare(u.packets, left.packets), bytes: spare(u.bytes, left.bytes)}
}

// part returns the room that who holds that much has to leave.
func part(held int) int {
	return held/dominance + min(held%dominance, 1)
}

// spare solves held + more <= dominance * (left - more).
func spare(held, left int) int {
	room := left - part(held)

	return room/(dominance+1)*dominance + room%(dominance+1)*dominance/(dominance+1)
}
