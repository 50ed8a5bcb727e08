package otel

import (
	"strings"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"go.opentelemetry.io/otel/attribute"
)

// The attributes of the semantic conventions, and our own.
const (
	keySystem       = attribute.Key("messaging.system")
	keyOperation    = attribute.Key("messaging.operation.name")
	keyKind         = attribute.Key("messaging.operation.type")
	keyDestination  = attribute.Key("messaging.destination.name")
	keyConversation = attribute.Key("messaging.message.conversation_id")
	keySize         = attribute.Key("messaging.message.body.size")
	keyCount        = attribute.Key("messaging.batch.message_count")
	keyError        = attribute.Key("error.type")
	keyMessage      = attribute.Key("error.message")

	keyProcedure   = attribute.Key("minogrpc.procedure")
	keyProtocol    = attribute.Key("minogrpc.protocol")
	keyNode        = attribute.Key("minogrpc.node")
	keySource      = attribute.Key("minogrpc.source")
	keyNeighbor    = attribute.Key("minogrpc.neighbor")
	keyPlayer      = attribute.Key("minogrpc.destination")
	keyHop         = attribute.Key("minogrpc.hop")
	keyFailed      = attribute.Key("minogrpc.destinations.failed")
	keyLinkEvent   = attribute.Key("minogrpc.link.event")
	keyLinkState   = attribute.Key("minogrpc.link.state")
	keyRole        = attribute.Key("minogrpc.stream.role")
	keyKnown       = attribute.Key("minogrpc.loss.known")
	system         = "minogrpc"
	operationSend  = "send"
	operationTaken = "receive"
	operationHop   = "process"
)

// maxText is how many bytes of a text become an attribute, and maxNeighbors how many neighbours have a series
// of their own.
const (
	maxText      = 256
	maxNeighbors = 256
)

// others stands for the neighbours that have no series of their own.
const others = "other"

// text returns a text for an attribute. Other nodes may have written it, and exporters refuse what is not
// UTF-8.
func text(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), maxText)], "\uFFFD")
}

// textOf returns the text of an address.
func textOf(addr mino.Address) string {
	if addr == nil {
		return ""
	}

	return text(addr.String())
}

// indexOf returns the place of a failure in reasons. Only the reasons of the library have one.
func indexOf(err *session.DeliveryError) int {
	if err.Reason > 0 && int(err.Reason) < len(reasons) {
		return int(err.Reason)
	}

	return 0
}

// reasons are the error types by their reason. The first one stands for a reason that is added to the library
// later.
var reasons = [...]string{
	0:                         "_OTHER",
	session.ReasonNoRoute:     "no_route",
	session.ReasonUnreachable: "unreachable",
	session.ReasonOverflow:    "overflow",
	session.ReasonTimeout:     "timeout",
	session.ReasonClosed:      "closed",
	session.ReasonRejected:    "rejected",
}
