package main

// Ask is the request: the message to sign.
type Ask struct {
	Message string
}

// Share is the answer: the signature of one player.
type Share struct {
	Signature []byte
}
