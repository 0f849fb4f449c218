//! Kafka client libraries that are installed, before any process maps them. In: the root of the node's files; out: the libraries' paths and
//! those of the shared TLS libraries that they need.
//!
//! The first process of such a library may live a few milliseconds, less than it takes to hook it. Only the usual folders of shared
//! libraries are looked into; what lies elsewhere, or inside a container image, is known from its first process on.

use std::path::{Path, PathBuf};

use symbolizer::Binary;

/// Where distributions and `make install` put them.
const FOLDERS: [&str; 6] = [
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/lib64",
    "/usr/local/lib",
    "/usr/local/lib64",
];
const CLIENT: &str = "librdkafka.so.";
const TLS: &str = "libssl.so";
/// Versions side by side.
const CLIENTS: usize = 16;

/// Paths as a process of the node names them. A client library comes before what it needs.
pub fn libraries(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for client in clients(root) {
        let Ok(binary) = Binary::open(&below(root, &client)) else {
            continue;
        };
        let needed = binary.needed().into_iter();
        let tls = needed
            .filter(|name| name.starts_with(TLS))
            .filter_map(|name| {
                let mut places = FOLDERS.iter().map(|folder| Path::new(folder).join(&name));
                places.find(|path| below(root, path).is_file())
            });
        found.push(client);
        found.extend(tls);
    }
    found
}

fn clients(root: &Path) -> Vec<PathBuf> {
    let folders = FOLDERS.iter().map(Path::new);
    let names = folders.flat_map(|folder| {
        let entries = std::fs::read_dir(below(root, folder))
            .into_iter()
            .flatten()
            .flatten();
        entries.map(|entry| folder.join(entry.file_name()))
    });
    let is_client = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(CLIENT))
    };
    names.filter(is_client).take(CLIENTS).collect()
}

fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_comes_with_the_tls_library_it_needs() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("usr/lib64");
        std::fs::create_dir_all(&folder).unwrap();
        assert!(libraries(root.path()).is_empty());
        std::fs::write(folder.join("librdkafka.so.1"), b"no ELF").unwrap();
        std::fs::write(folder.join("libssl.so.3"), b"unasked").unwrap();
        assert!(libraries(root.path()).is_empty());
        // kcat's own library, as this machine has it.
        let real = clients(Path::new("/"));
        let real = real.first().unwrap();
        std::fs::copy(real, folder.join("librdkafka.so.1")).unwrap();
        let expected = ["/usr/lib64/librdkafka.so.1", "/usr/lib64/libssl.so.3"];
        assert_eq!(libraries(root.path()), expected.map(PathBuf::from));
    }
}
