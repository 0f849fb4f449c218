//! Servers of HTTP/2 for Go: which goroutine serves which stream of which connection. All streams are read by one goroutine and each is served by
//! another.
//!
//! In: a program with a Kafka client. Out: probes on the beginning of a connection's reader, and of a stream's handler, once a request; the server's
//! object for the connection ties the two. `net/http` and golang.org/x/net share their code; gRPC has its own.

use obi_abi::client::means;
use obi_abi::{ClientShape, Place};
use symbolizer::Go;
use symbolizer::code::Register;

use super::go::{self, Call, Library, Members, of_client, says};
use crate::HookPlan;
use crate::facts::Facts;
use crate::registers::word;

const NET: &str = "golang.org/x/net";
const GRPC: &str = "google.golang.org/grpc";
const TRANSPORT: &str = "google.golang.org/grpc/internal/transport";

const NET_MEMBERS: Members = &[
    ("responseWriter", "rws"),
    ("responseWriterState", "stream"),
    ("stream", "id"),
];
const TRANSPORT_MEMBERS: Members = &[
    ("Stream", "id"),
    ("ServerStream", "Stream"),
    ("ServerStream", "st"),
];

pub(super) fn plan(facts: &Facts<'_>, go: &Go<'_>, task: ClientShape, plan: &mut HookPlan) {
    go::standard(facts, go, &net_http(go), task, plan);
    // Most programs name the module, few hold its server, and its layouts take long to read.
    if go::links(go, NET, "(*serverConn).runHandler")
        && let Some(library) = Library::find(facts, go, NET, NET_MEMBERS)
    {
        library.plan(&x_net(&library), task, plan);
    }
    if go::links(go, GRPC, "(*Server).handleStream")
        && let Some(server) = Library::find(facts, go, GRPC, &[])
        && let Some(transport) = Library::find(facts, go, TRANSPORT, TRANSPORT_MEMBERS)
    {
        server.plan(&[grpc(&server, &transport)], task, plan);
        let reads = reads("transport.(*http2Server).HandleStreams");
        transport.plan(&[reads], task, plan);
    }
}

/// A goroutine begins to read the connection that is the receiver.
fn reads(name: &'static str) -> Call {
    Call::entry(name, [Some(of_client(says(means::SERVES)))]).rare()
}

/// A goroutine begins to serve the stream of a response writer.
fn runs(name: &'static str, writer: Option<u8>, members: [Option<u16>; 3]) -> Call {
    let shape = || {
        let [rws, stream, id] = members;
        let at = Place {
            steps: 2,
            path: [rws?, stream?, 0],
            ..Place::register(writer?)
        };
        Some(of_client(go::serves(at, id?)))
    };
    Call::entry(name, [shape()]).rare()
}

/// `runHandler(rw *http2responseWriter, …)` in Go 1.18 to 1.26.
fn net_http(go: &Go<'_>) -> [Call; 2] {
    let members = go.members(&[
        ("net/http.http2responseWriter", "rws"),
        ("net/http.http2responseWriterState", "stream"),
        ("net/http.http2stream", "id"),
    ]);
    let mut members = members
        .into_iter()
        .map(|member| u16::try_from(member?).ok());
    let members = [(); 3].map(|()| members.next().flatten());
    [
        reads("net/http.(*http2serverConn).readFrames"),
        runs(
            "net/http.(*http2serverConn).runHandler",
            Some(word(Register::Rbx)),
            members,
        ),
    ]
}

fn x_net(library: &Library<'_>) -> [Call; 2] {
    let writer = library.argument("(*serverConn).runHandler", "rw");
    let members = [(); 3];
    let mut wanted = NET_MEMBERS.iter();
    let members = members.map(|()| {
        let (structure, member) = wanted.next()?;
        library.member(structure, member)
    });
    [
        reads("http2.(*serverConn).readFrames"),
        runs(
            "http2.(*serverConn).runHandler",
            writer.map(|[writer]| writer),
            members,
        ),
    ]
}

/// The transport is an interface: behind its type stands the object.
fn grpc(server: &Library<'_>, transport: &Library<'_>) -> Call {
    const FUNCTION: &str = "(*Server).handleStream";
    let shape = || {
        let [_, connection] = server.argument(FUNCTION, "t")?;
        let [stream] = server.argument(FUNCTION, "stream")?;
        Some(ClientShape {
            client: Place::register(connection),
            ..go::serves(
                stream_of(transport, stream)?,
                transport.member("Stream", "id")?,
            )
        })
    };
    Call::entry("grpc.(*Server).handleStream", [shape()]).rare()
}

/// What a server's stream shares with that of a client: the same struct, part of it, or behind a pointer in it.
fn stream_of(transport: &Library<'_>, stream: u8) -> Option<Place> {
    let Some(shared) = transport.member("ServerStream", "Stream") else {
        return Some(Place::register(stream));
    };
    let next = transport.member("ServerStream", "st")?;
    match next.checked_sub(shared)? {
        8 => Some(Place::word(stream, shared)),
        _ => Some(Place::address(stream, shared)),
    }
}
