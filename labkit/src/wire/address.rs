//! Where a real service listens.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A listening socket of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Address {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A Unix socket: nobody else's port can collide with it.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp:{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A Redis server that a check may use, and how far it may go there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedisTarget {
    /// Where it listens.
    pub address: Address,
    /// The user to authenticate as, where the server asks for one.
    pub username: Option<String>,
    /// The password, where the server asks for one.
    pub password: Option<String>,
    /// The logical database that was claimed.
    pub database: u32,
    /// Whether we started it. A server that is not ours is precious: the wire refuses
    /// server-wide commands.
    pub ours: bool,
}
