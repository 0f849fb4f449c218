//! What is built on clients: share groups, Kafka Streams, Connect, MirrorMaker 2. In: a stage. Out: one scenario a file. All of them are Java
//! programs over the plaintext listener; truth is the broker's, and the figures that Kafka's own clients keep of themselves.

mod program;
pub mod share;
