package main

import "time"

// order is what a client wants of the node, and event what it is told. On the socket each
// is a line of JSON.
type order struct {
	// Count is the folder whose words are counted, as an absolute path.
	Count string `json:"count"`

	// For is how long they are counted again and again, in the same stream. Zero is once.
	For time.Duration `json:"for,omitempty"`
}

// event is what a client is told. One of the fields is set, but for Again.
type event struct {
	Asking   *asking  `json:"asking,omitempty"`
	Counted  *counted `json:"counted,omitempty"`
	Outcomes []row    `json:"outcomes,omitempty"`

	// Waiting are the nodes that have not replied, after a pause without a reply.
	Waiting []string `json:"waiting,omitempty"`

	// Sum is that of all the words, and Error why there is none. Either is the last, unless Again says that
	// they are counted again.
	Sum   *int   `json:"sum,omitempty"`
	Again bool   `json:"again,omitempty"`
	Error string `json:"error,omitempty"`
}

// asking says that so many nodes are asked about so many files.
type asking struct {
	Nodes int `json:"nodes"`
	Files int `json:"files"`
}

// counted says that a node has replied, the last of Done out of All until now. Sum is that
// of the words in their replies.
type counted struct {
	Node  string `json:"node"`
	Files int    `json:"files"`
	Words int    `json:"words"`
	Done  int    `json:"done"`
	All   int    `json:"all"`
	Sum   int    `json:"sum"`
}

// row is the outcome of the request to one node.
type row struct {
	Node    string `json:"node"`
	Outcome string `json:"outcome"`

	// Files and Words are what the node has counted.
	Files int `json:"files,omitempty"`
	Words int `json:"words,omitempty"`

	// Hop is who gave up and Cause why, if the node was not reached.
	Hop   string `json:"hop,omitempty"`
	Cause string `json:"cause,omitempty"`
}
