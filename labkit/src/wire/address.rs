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

/// A service that a check may use, and how far it may go there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Where it listens. Postgres' socket is the file itself: `FOLDER/.s.PGSQL.5432`.
    pub address: Address,
    /// The user to log in as, where the server asks for one.
    pub username: Option<String>,
    /// The password, where the server asks for one.
    pub password: Option<String>,
    /// The database that is the check's: a number in Redis, a name in Postgres. The
    /// server's own default where there is none.
    pub database: Option<String>,
    /// Whether we started it. A server that is not ours is precious: the wire refuses
    /// server-wide commands.
    pub ours: bool,
    /// Who may look at everything, where the app may not: for the check, past the wire.
    pub administrator: Option<Login>,
}

/// Who somebody says that they are.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// The user.
    pub username: String,
    /// The password, where the server asks for one.
    pub password: Option<String>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Login").field(&self.username).finish()
    }
}

impl Target {
    /// A server of ours that asks nobody who they are.
    pub fn at(address: Address) -> Self {
        Self {
            address,
            username: None,
            password: None,
            database: None,
            ours: true,
            administrator: None,
        }
    }

    /// The number of Redis' logical database; the first where none is named.
    pub fn redis_database(&self) -> u32 {
        let number = self.database.as_ref().map(|text| text.parse());
        number.and_then(Result::ok).unwrap_or_default()
    }

    /// The same place, with the administrator's login; as it is where there is none.
    pub fn as_administrator(&self) -> Self {
        let mut target = self.clone();
        if let Some(login) = target.administrator.take() {
            target.username = Some(login.username);
            target.password = login.password;
        }
        target
    }

    /// Its address as Postgres' clients take it (libpq, section 34.1.1.2, "Connection
    /// URIs"): a socket's folder stands in the host's place, percent-encoded.
    pub fn postgres_url(&self) -> String {
        let mut url = "postgres://".to_owned();
        if let Some(username) = &self.username {
            url += &encode(username);
            if let Some(password) = &self.password {
                url += &format!(":{}", encode(password));
            }
            url.push('@');
        }
        match &self.address {
            Address::Tcp(address) => url += &address.to_string(),
            Address::Unix(path) => {
                let folder = path.parent().unwrap_or(path).to_string_lossy();
                url += &encode(&folder);
            }
        }
        url.push('/');
        url + &encode(self.database.as_deref().unwrap_or_default())
    }
}

/// All but letters, digits and `-._~` by its bytes: RFC 3986, section 2.1.
fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut url, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url += &format!("%{byte:02X}");
        }
        url
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_leads_to_the_very_database_with_either_login() {
        let target = Target {
            username: Some("ada".to_owned()),
            password: Some("p@ss/w:rd".to_owned()),
            database: Some("shop".to_owned()),
            administrator: Some(Login {
                username: "postgres".to_owned(),
                password: None,
            }),
            ..Target::at(Address::Unix("/tmp/a b/.s.PGSQL.5432".into()))
        };
        assert_eq!(
            target.postgres_url(),
            "postgres://ada:p%40ss%2Fw%3Ard@%2Ftmp%2Fa%20b/shop"
        );
        let administrator = Target {
            address: Address::Tcp(([127, 0, 0, 1], 5432).into()),
            ..target.as_administrator()
        };
        assert_eq!(
            administrator.postgres_url(),
            "postgres://postgres@127.0.0.1:5432/shop"
        );
    }
}
