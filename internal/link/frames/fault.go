package frames

// fault is a mistake that a test plants, to see that it would be found. It is read in nine
// places, each of them on a way that has more to do.
type fault int

const (
	none fault = iota
	// wrongResend goes on after a break with the second of the frames that are missing.
	wrongResend
	// oldEpoch takes a stream that is not newer than the last one.
	oldEpoch
	// earlyReceipt says that a parcel was delivered before it is.
	earlyReceipt
	// lostReceipts forgets at a break the receipts that have not left.
	lostReceipts
	// shrinkingWindow does not count the outcomes that have come.
	shrinkingWindow
	// chunkTwice writes a piece of a large message twice.
	chunkTwice
	// hastyGoodbye is said before the receipts that wait have left.
	hastyGoodbye
	// countedTwice counts a frame with a message twice.
	countedTwice
	// lostTurn forgets what a parent learns about its way up while there is no stream.
	lostTurn
	// keptStream gives a stream up without ending it, so that the other end does not know. It is a
	// mistake of the driver.
	keptStream
)
