//! Which cluster a connection belongs to. In: cluster ids with the connection that heard them; out: the cluster of any connection.
//!
//! Only Metadata names the cluster, and a client asks one broker for it, so the others are found by the surest of: this connection, this client
//! of this process, the broker's address, this process. What would be true of two clusters is true of none.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::capture::{ConnectionId, Pid};

const MOST: usize = 65_536;

#[derive(Debug, Default)]
pub(super) struct Clusters {
    connections: HashMap<ConnectionId, Arc<str>>,
    /// None: more than one cluster.
    clients: HashMap<(Pid, Arc<str>), Option<Arc<str>>>,
    pids: HashMap<Pid, Option<Arc<str>>>,
    addresses: HashMap<SocketAddr, Arc<str>>,
}

impl Clusters {
    pub fn learn<'a>(
        &mut self,
        id: &Arc<str>,
        connection: ConnectionId,
        pid: Pid,
        client_id: &Arc<str>,
        addresses: impl Iterator<Item = &'a SocketAddr>,
    ) {
        put(&mut self.connections, connection, Arc::clone(id));
        agree(&mut self.clients, (pid, Arc::clone(client_id)), id);
        agree(&mut self.pids, pid, id);
        for address in addresses {
            put(&mut self.addresses, canonical(*address), Arc::clone(id));
        }
    }

    /// The address of a connection became known.
    pub fn bind(&mut self, connection: ConnectionId, address: SocketAddr) {
        if let Some(id) = self.connections.get(&connection) {
            put(&mut self.addresses, canonical(address), Arc::clone(id));
        }
    }

    pub fn forget(&mut self, connection: ConnectionId) {
        self.connections.remove(&connection);
    }

    pub fn find(
        &self,
        connection: ConnectionId,
        pid: Pid,
        client_id: &Arc<str>,
        server: Option<SocketAddr>,
    ) -> Option<&Arc<str>> {
        self.connections
            .get(&connection)
            .or_else(|| self.clients.get(&(pid, Arc::clone(client_id)))?.as_ref())
            .or_else(|| self.addresses.get(&canonical(server?)))
            .or_else(|| self.pids.get(&pid)?.as_ref())
    }

    pub fn export(&self) -> Vec<(SocketAddr, String)> {
        let mut all: Vec<_> = self
            .addresses
            .iter()
            .map(|(address, id)| (*address, id.to_string()))
            .collect();
        all.sort();
        all
    }

    pub fn restore(&mut self, clusters: &[(SocketAddr, String)]) {
        for (address, id) in clusters {
            put(&mut self.addresses, canonical(*address), id.as_str().into());
        }
    }
}

/// Sockets of IPv6 that speak to IPv4 peers show mapped addresses.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// A full table starts again: labels are learnt anew with the next Metadata.
fn put<K: Eq + Hash, V>(table: &mut HashMap<K, V>, key: K, value: V) {
    if table.len() >= MOST && !table.contains_key(&key) {
        table.clear();
    }
    table.insert(key, value);
}

fn agree<K: Eq + Hash>(table: &mut HashMap<K, Option<Arc<str>>>, key: K, id: &Arc<str>) {
    let agreed = match table.get(&key) {
        Some(known) => known.clone().filter(|known| known == id),
        None => Some(Arc::clone(id)),
    };
    put(table, key, agreed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_surest_source_wins() {
        let address = |port: u16| SocketAddr::from(([10, 0, 0, 1], port));
        let (one, two, client) = (
            Arc::<str>::from("one"),
            Arc::<str>::from("two"),
            Arc::<str>::from("app"),
        );
        let mut clusters = Clusters::default();
        let find = |clusters: &Clusters, connection: u64, pid: Pid, port: u16| {
            clusters
                .find(ConnectionId(connection), pid, &client, Some(address(port)))
                .map(|id| id.to_string())
        };
        clusters.learn(
            &one,
            ConnectionId(1),
            7,
            &client,
            [address(9092), address(9093)].iter(),
        );
        assert_eq!(find(&clusters, 1, 0, 1).as_deref(), Some("one"));
        assert_eq!(
            find(&clusters, 2, 7, 1).as_deref(),
            Some("one"),
            "same client"
        );
        assert_eq!(
            find(&clusters, 2, 8, 9093).as_deref(),
            Some("one"),
            "listed broker"
        );
        assert_eq!(find(&clusters, 2, 8, 1), None);
        clusters.learn(&two, ConnectionId(3), 7, &client, [address(9095)].iter());
        assert_eq!(find(&clusters, 9, 7, 1), None, "two clusters, no telling");
        assert_eq!(find(&clusters, 9, 7, 9095).as_deref(), Some("two"));
        clusters.learn(&one, ConnectionId(1), 7, &client, [].iter());
        assert_eq!(find(&clusters, 9, 7, 1), None, "still two");
        let mapped: SocketAddr = "[::ffff:10.0.0.1]:9095".parse().unwrap();
        assert_eq!(
            clusters
                .find(ConnectionId(9), 9, &client, Some(mapped))
                .map(|id| &**id),
            Some("two")
        );
        let mut restored = Clusters::default();
        restored.restore(&clusters.export());
        assert_eq!(find(&restored, 9, 9, 9092).as_deref(), Some("one"));
    }
}
