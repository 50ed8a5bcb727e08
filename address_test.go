package session_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/serde"
	"github.com/stretchr/testify/require"
)

func TestAddress_FormsOfTheTable(t *testing.T) {
	table := []struct {
		input, text, str, hostname string
		connType                   mino.AddressConnectionType
	}{
		{"127.0.0.1:2000", "FB127.0.0.1:2000", "grpcs://127.0.0.1:2000", "127.0.0.1", mino.ACTgRPCS},
		{"grpc://example.com:80", "FAexample.com:80", "grpc://example.com:80", "example.com", mino.ACTgRPC},
		{"grpcs://[::1]:443", "FB[::1]:443", "grpcs://[::1]:443", "::1", mino.ACTgRPCS},
		{
			"https://node.example.org:8443", "FCnode.example.org:8443", "https://node.example.org:8443",
			"node.example.org", mino.ACThttps,
		},
		{"//host:1", "FBhost:1", "grpcs://host:1", "host", mino.ACTgRPCS},
		{"grpc://h:1/path?q", "FAh:1", "grpc://h:1", "h", mino.ACTgRPC},
		{"127.0.0.2", "FB127.0.0.2", "grpcs://127.0.0.2", "127.0.0.2", mino.ACTgRPCS},
		{"A", "FBA", "grpcs://A", "A", mino.ACTgRPCS},
		{"localhost:2000", "FBlocalhost:2000", "grpcs://localhost:2000", "localhost", mino.ACTgRPCS},
		{"[::1]", "FB[::1]", "grpcs://[::1]", "::1", mino.ACTgRPCS},
		{"::1", "FB::1", "grpcs://::1", "::1", mino.ACTgRPCS},
	}

	for _, row := range table {
		t.Run(row.input, func(t *testing.T) {
			addr := session.NewAddress(row.input)

			require.Equal(t, row.text, textOf(t, addr))
			require.Equal(t, row.str, addr.String())
			require.Equal(t, row.connType, addr.ConnectionType())
			require.Equal(t, addr, session.AddressFactory{}.FromText([]byte(row.text)))

			hostname, err := addr.GetHostname()
			require.NoError(t, err)
			require.Equal(t, row.hostname, hostname)
		})
	}
}

func TestNewAddress_KeepsWhatIsNoURL(t *testing.T) {
	for _, input := range []string{"", "ws://h:1", "grpc://", "grpc://h:port", "://", "a//b", "grpc://[::1", "\x00//"} {
		addr := session.NewAddress(input)

		require.Equal(t, input, addr.GetDialAddress())
		require.Equal(t, mino.ACTgRPCS, addr.ConnectionType())

		_, err := addr.GetHostname()
		require.Error(t, err, input)
	}
}

func TestAddress_GetHostnameNeedsAHost(t *testing.T) {
	for _, host := range []string{
		"", ":80", "[]:80", "a:b:c", "user@h:1", "h/path", "a b:1", "\x00", "a\nb:1", "\x7f:1",
		"a\u202eb:1", "a\xffb:1", "a%b:1",
	} {
		_, err := session.NewAddress(host).GetHostname()

		require.ErrorContains(t, err, "malformed address", host)
	}
}

// Promise R3: an address of another node is short, and does not depend on this machine.
func TestAddress_GetHostnameRefusesWhatNoNodeCanBeCalled(t *testing.T) {
	for _, tt := range []struct{ host, message string }{
		{"[fe80::1%eth0]:1", "zone"},
		{"fe80::1%eth0", "zone"},
		{strings.Repeat("a", 299), "301 bytes are more than 300"},
		{strings.Repeat("a", 40<<20) + ":1", "more than 300"},
	} {
		_, err := session.NewAddress(tt.host).GetHostname()
		require.ErrorContains(t, err, tt.message)
		require.Less(t, len(err.Error()), 1000)
	}

	_, err := session.NewAddress(strings.Repeat("a", 296) + ":1").GetHostname()
	require.NoError(t, err)

	_, err = session.NewAddressFromURL(parseURL(t, "grpcs://[fe80::1%25eth0]:1"))
	require.ErrorContains(t, err, "zone")
}

func TestNewAddressFromURL_SchemeAndPort(t *testing.T) {
	table := []struct{ input, text string }{
		{"//host:1", "FBhost:1"},
		{"grpc://host:1", "FAhost:1"},
		{"grpcs://[::1]:65535/path", "FB[::1]:65535"},
		{"https://host:443", "FChost:443"},
	}

	for _, row := range table {
		addr, err := session.NewAddressFromURL(parseURL(t, row.input))

		require.NoError(t, err)
		require.Equal(t, row.text, textOf(t, addr))
	}
}

func TestNewAddressFromURL_RefusesWhatCannotBeDialled(t *testing.T) {
	table := []struct{ input, message string }{
		{"ws://host:1", `unknown scheme "ws"`},
		{"http://host:1", `unknown scheme "http"`},
		{"grpc://host", "malformed host"},
		{"grpc://host:", "malformed port"},
		{"grpc://:80", "malformed host"},
		{"grpc://host:65536", "malformed port"},
		{"", "malformed host"},
	}

	for _, row := range table {
		_, err := session.NewAddressFromURL(parseURL(t, row.input))

		require.ErrorContains(t, err, row.message, row.input)
	}

	// No text gives this URL, but a program may make it.
	_, err := session.NewAddressFromURL(url.URL{Scheme: "grpc", Host: "\x00:1"})
	require.ErrorContains(t, err, "malformed address")
}

func TestNewOrchestratorAddress_KeepsHostAndConnectionType(t *testing.T) {
	table := []struct {
		input     mino.Address
		text, str string
	}{
		{session.NewAddress("127.0.0.1:2000"), "OB127.0.0.1:2000", "Orchestrator:grpcs://127.0.0.1:2000"},
		{session.NewAddress("grpc://h:1"), "OAh:1", "Orchestrator:grpc://h:1"},
		{session.NewAddress("A"), "OBA", "Orchestrator:grpcs://A"},
		{session.NewOrchestratorAddress(session.NewAddress("A")), "OBA", "Orchestrator:grpcs://A"},
		{session.WrapAddress(session.NewAddress("https://h:1")), "OCh:1", "Orchestrator:https://h:1"},
		{session.Address{}, "OA", "Orchestrator:grpc://"},
		{nil, "OA", "Orchestrator:grpc://"},
		{foreignAddress{text: "foreign:1", connType: mino.ACThttps}, "OCforeign:1", "Orchestrator:https://foreign:1"},
		{foreignAddress{text: "grpc://foreign:1"}, "OAforeign:1", "Orchestrator:grpc://foreign:1"},
		{foreignAddress{text: "FAforeign:1"}, "OAforeign:1", "Orchestrator:grpc://foreign:1"},
		{foreignAddress{text: "FB.example:1"}, "OAFB.example:1", "Orchestrator:grpc://FB.example:1"},
		{foreignAddress{err: errors.New("oops")}, "OAname", "Orchestrator:grpc://name"},
		{foreignAddress{connType: 1 << 20}, "O?", "Orchestrator:unknown--2://"},
		{embeddingAddress{Address: session.NewAddress("grpc://h:1")}, "OAh:1", "Orchestrator:grpc://h:1"},
	}

	for _, row := range table {
		addr := session.NewOrchestratorAddress(row.input)

		require.Equal(t, row.text, textOf(t, addr))
		require.Equal(t, row.str, addr.String())
		require.True(t, addr.IsOrchestrator())
	}
}

func TestFollowerOf_IsOneKeyForEveryForm(t *testing.T) {
	follower := session.NewAddress("grpc://h:1")
	orchestrator := session.NewOrchestratorAddress(follower)

	forms := []mino.Address{follower, orchestrator, session.WrapAddress(follower), session.WrapAddress(orchestrator)}
	for _, form := range forms {
		require.Equal(t, follower, session.FollowerOf(form))
	}

	// A slice inside makes this one useless as a key by itself.
	unhashable := foreignAddress{text: "h:1", extra: []int{1}}
	keys := map[mino.Address]bool{session.FollowerOf(unhashable): true}
	require.True(t, keys[session.FollowerOf(session.WrapAddress(unhashable))])

	require.Nil(t, session.FollowerOf(nil))
}

// The wire compares no connection type where Recv's address is compared, and every spelling of a node
// is that node.
func TestKeyOf_IsOneKeyForEveryFormOfANode(t *testing.T) {
	player := session.NewAddress("grpcs://node:2000")
	forms := []mino.Address{
		player,
		session.NewOrchestratorAddress(player),
		session.WrapAddress(player),
		session.WrapAddress(session.NewOrchestratorAddress(player)),
		session.NewAddress("grpc://node:2000"),
		session.NewAddress("grpcs://NODE.:02000"),
	}

	for _, form := range forms {
		require.Equal(t, session.KeyOf(player), session.KeyOf(form), form)
	}

	other := session.NewAddress("grpcs://other:2000")
	require.NotEqual(t, session.KeyOf(player), session.KeyOf(other))

	// Where one equals the other, in either direction, they have one key.
	for _, a := range append(forms, other) {
		for _, b := range append(forms, other) {
			if a.Equal(b) || b.Equal(a) {
				require.Equal(t, session.KeyOf(a), session.KeyOf(b))
			}
		}
	}

	require.Empty(t, session.KeyOf(nil))
	require.Empty(t, session.KeyOf(madAddress{}))
}

// madAddress is an address whose methods panic.
type madAddress struct{ mino.Address }

func TestFromText_NeverFails(t *testing.T) {
	table := []struct {
		text, again, str, host string
		connType               mino.AddressConnectionType
	}{
		{"", "FA", "grpc://", "", mino.ACTgRPC},
		{"F", "FA", "grpc://", "", mino.ACTgRPC},
		{"FA", "FA", "grpc://", "", mino.ACTgRPC},
		{"OBh:1", "OBh:1", "Orchestrator:grpcs://h:1", "h:1", mino.ACTgRPCS},
		{"oBh:1", "FBh:1", "grpcs://h:1", "h:1", mino.ACTgRPCS},
		{"FDh:1", "FDh:1", "ws://h:1", "h:1", mino.ACTws},
		{"FZh:1", "FZh:1", "unknown-25://h:1", "h:1", 25},
		{"F\xffh:1", "F\xffh:1", "unknown-190://h:1", "h:1", 190},
		{"F\x00h:1", "F\x00h:1", "unknown--65://h:1", "h:1", -65},
	}

	for _, row := range table {
		addr, ok := session.AddressFactory{}.FromText([]byte(row.text)).(session.Address)

		require.True(t, ok)
		require.Equal(t, row.again, textOf(t, addr))
		require.Equal(t, row.str, addr.String())
		require.Equal(t, row.host, addr.GetDialAddress())
		require.Equal(t, row.connType, addr.ConnectionType())
	}

	require.Equal(t, session.Address{}, session.AddressFactory{}.FromText([]byte("F")))
}

func TestFromText_DoesNotKeepTheText(t *testing.T) {
	text := []byte("FAh:1")
	addr := session.AddressFactory{}.FromText(text)
	copy(text, "OBx:2")

	require.Equal(t, session.NewAddress("grpc://h:1"), addr)
}

func TestAddress_EqualNeedsRoleTypeAndHost(t *testing.T) {
	addr := session.NewAddress("h:1")

	require.True(t, addr.Equal(session.NewAddress("h:1")))
	require.False(t, addr.Equal(session.NewAddress("h:2")))
	require.False(t, addr.Equal(session.NewAddress("grpc://h:1")))
	require.False(t, addr.Equal(session.NewOrchestratorAddress(addr)))
	require.False(t, addr.Equal(session.AddressFactory{}.FromText([]byte("FZh:1"))))
	require.False(t, addr.Equal(foreignAddress{text: "FBh:1", connType: mino.ACTgRPCS}))
	require.False(t, addr.Equal(nil))
}

func TestWrappedAddress_EqualsBothRolesInBothDirections(t *testing.T) {
	follower := session.NewAddress("h:1")
	orchestrator := session.NewOrchestratorAddress(follower)
	plain := session.NewAddress("grpc://h:1")

	for _, inner := range []mino.Address{follower, orchestrator, plain, foreignAddress{text: "h:1"}} {
		wrapped := session.WrapAddress(inner)

		for _, other := range []mino.Address{follower, orchestrator, plain} {
			require.True(t, wrapped.Equal(other))
			require.True(t, other.Equal(wrapped))
			require.True(t, wrapped.Equal(session.WrapAddress(other)))
		}

		require.True(t, wrapped.Equal(inner))
		require.False(t, wrapped.Equal(session.NewAddress("h:2")))
		require.False(t, session.NewAddress("h:2").Equal(wrapped))
		require.False(t, wrapped.Equal(foreignAddress{text: "h:2"}))
		require.False(t, wrapped.Equal(nil))
	}
}

func TestWrappedAddress_PassesTheRestThrough(t *testing.T) {
	orchestrator := session.NewOrchestratorAddress(session.NewAddress("grpc://h:1"))

	for _, inner := range []mino.Address{orchestrator, foreignAddress{text: "h:1"}} {
		wrapped := session.WrapAddress(inner)

		require.Equal(t, textOf(t, inner), textOf(t, wrapped))
		require.Equal(t, inner.String(), wrapped.String())
		require.Equal(t, inner.ConnectionType(), wrapped.ConnectionType())
		require.Equal(t, inner, session.UnwrapAddress(wrapped))
		require.Equal(t, wrapped, session.WrapAddress(wrapped))
		require.Equal(t, inner, session.UnwrapAddress(inner))
	}

	require.Nil(t, session.WrapAddress(nil))
	require.Nil(t, session.UnwrapAddress(nil))
}

func TestWrappedAddress_IsComparable(t *testing.T) {
	seen := map[mino.Address]bool{session.WrapAddress(session.NewAddress("h:1")): true}

	require.True(t, seen[session.WrapAddress(session.NewAddress("h:1"))])
	require.False(t, seen[session.WrapAddress(session.NewAddress("h:2"))])
}

func TestAddress_TextCostsOnlyTheCopyOfTheCaller(t *testing.T) {
	addr := session.NewAddress("127.0.0.1:2000")
	wrapped := session.WrapAddress(session.NewOrchestratorAddress(addr))
	room := make([]byte, 0, 100)

	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { _, _ = addr.MarshalText() }), 1.0)
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = addr.AppendText(room) }))
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = addr.GetDialAddress() }))
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = addr.Equal(wrapped) }))
}

func TestAddress_MarshalTextBelongsToTheCaller(t *testing.T) {
	for _, addr := range []session.Address{{}, session.NewAddress("h:1")} {
		before := textOf(t, addr)

		text, err := addr.MarshalText()
		require.NoError(t, err)
		clear(text)

		require.Equal(t, before, textOf(t, addr))
	}
}

func TestAddress_AppendTextIsTheTextAfterWhatIsThere(t *testing.T) {
	for _, addr := range []session.Address{{}, session.NewAddress("h:1"), session.NewOrchestratorAddress(nil)} {
		text, err := addr.AppendText([]byte("before "))

		require.NoError(t, err)
		require.Equal(t, "before "+textOf(t, addr), string(text))
	}
}

// A letter for every byte: no two of them make the same address, and each form
// gives the one value of the address.
func TestAddress_EqualTextsAreEqualValues(t *testing.T) {
	for letter := range 256 {
		text := []byte{'F', byte(letter), 'h'}
		addr := session.AddressFactory{}.FromText(text)
		orchestrator := session.NewOrchestratorAddress(addr)

		require.Equal(t, string(text), textOf(t, addr))
		require.Equal(t, mino.AddressConnectionType(letter-'A'), addr.ConnectionType())
		require.Equal(t, addr, session.FollowerOf(orchestrator))

		text[0] = 'O'
		require.Equal(t, orchestrator, session.AddressFactory{}.FromText(text))

		text[0] = 'x'
		require.Equal(t, addr, session.AddressFactory{}.FromText(text))
	}

	for _, text := range []string{"", "F", "FA", "xA", "x"} {
		require.Equal(t, session.Address{}, session.AddressFactory{}.FromText([]byte(text)), text)
	}
}

func TestAddressFactory_DeserializeUsesTheEmbeddedFactory(t *testing.T) {
	_, err := session.AddressFactory{}.Deserialize(serde.Context{}, nil)
	require.ErrorContains(t, err, "not a message")

	refuse := refusingFactory{err: errors.New("refused")}
	_, err = session.AddressFactory{Factory: refuse}.Deserialize(serde.Context{}, nil)
	require.ErrorIs(t, err, refuse.err)
}

func FuzzFromText(f *testing.F) {
	for _, seed := range []string{"", "F", "FA", "OB127.0.0.1:2000", "FZ", "xB[::1]:443", "F\xff\xfe"} {
		f.Add([]byte(seed))
	}

	f.Fuzz(func(t *testing.T, text []byte) {
		addr := session.AddressFactory{}.FromText(text)
		again := session.AddressFactory{}.FromText([]byte(textOf(t, addr)))

		require.Equal(t, addr, again)
		require.Equal(t, addr.String(), again.String())
		require.Equal(t, textOf(t, addr), textOf(t, again))

		_, _ = addr.(session.Address).GetHostname()
	})
}

func textOf(t *testing.T, addr mino.Address) string {
	t.Helper()

	text, err := addr.MarshalText()
	require.NoError(t, err)

	return string(text)
}

func parseURL(t *testing.T, text string) url.URL {
	t.Helper()

	u, err := url.Parse(text)
	require.NoError(t, err)

	return *u
}

// foreignAddress is an address of somebody else, without GetDialAddress.
type foreignAddress struct {
	text     string
	connType mino.AddressConnectionType
	err      error
	extra    []int
}

func (a foreignAddress) Equal(other mino.Address) bool {
	o, ok := other.(foreignAddress)

	return ok && o.text == a.text
}

func (a foreignAddress) MarshalText() ([]byte, error)               { return []byte(a.text), a.err }
func (a foreignAddress) String() string                             { return "name" }
func (a foreignAddress) ConnectionType() mino.AddressConnectionType { return a.connType }

// embeddingAddress is an address of somebody else that can be dialled.
type embeddingAddress struct{ session.Address }

type refusingFactory struct{ err error }

func (f refusingFactory) Deserialize(serde.Context, []byte) (serde.Message, error) { return nil, f.err }
