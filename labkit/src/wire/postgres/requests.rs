//! What an app asks: the statement that a unit executes, with its parameters.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::param::{self, Param};
use super::unit::{self, Body};
use super::{Expect, Part, Portal, Postgres, Prepared};
use crate::wire::message::MessageKind;
use crate::wire::protocol::Request;

impl Postgres {
    /// What a unit asks, and what the server will answer to it.
    pub(super) fn request_of(&mut self, unit: Bytes) -> Request<Expect> {
        let urge = if self.silent { unit::FLUSH } else { b"" };
        let mut expect = Expect::default();
        let mut kind = None;
        for (tag, mut body) in unit::messages(&unit) {
            match tag {
                b'Q' => {
                    kind = Some(MessageKind::Postgres {
                        sql: body.text().unwrap_or_default().into(),
                        params: Vec::new(),
                        more: false,
                    });
                    expect.parts.push_back(Part::Query);
                }
                b'E' => {
                    kind = Some(self.execute(&mut body));
                    expect.parts.push_back(Part::Execute);
                }
                b'P' => expect.parts.push_back(self.parse(&mut body)),
                b'B' => expect.parts.push_back(self.bind(&mut body)),
                b'D' => expect.parts.push_back(match body.take(1) {
                    Some(b"S") => Part::DescribeStatement(
                        body.cstr()
                            .and_then(|name| self.statements.get(name).cloned()),
                    ),
                    _ => Part::DescribePortal,
                }),
                b'C' => expect.parts.push_back(Part::Close(match body.take(1) {
                    Some(b"S") => body.cstr().and_then(|name| {
                        let prepared = self.statements.get(name)?;
                        Some((Bytes::copy_from_slice(name), Arc::clone(prepared)))
                    }),
                    _ => None,
                })),
                b'F' => expect.parts.push_back(Part::Query),
                b'S' => expect.parts.push_back(Part::Sync),
                // A Flush, a password, the end of a COPY, a goodbye: nothing answers them.
                _ => {}
            }
            self.silent = b"PBDEC".contains(&tag);
        }
        expect.executes = kind.is_some();
        self.syncs += usize::from(expect.has_sync());
        Request {
            kind,
            forward: unit,
            expect: (!expect.parts.is_empty()).then_some(expect),
            refusal: None,
            urge,
        }
    }

    fn parse(&mut self, body: &mut Body<'_>) -> Part {
        let name = Bytes::copy_from_slice(body.cstr().unwrap_or_default());
        let sql = body.text().unwrap_or_default().into();
        let count = body.u16().unwrap_or(0);
        let prepared = Arc::new(Prepared {
            sql,
            declared: (0..count).map_while(|_| body.u32()).collect(),
            described: OnceLock::new(),
        });
        let before = self.statements.insert(name.clone(), Arc::clone(&prepared));
        Part::Parse {
            name,
            prepared,
            before,
        }
    }

    fn bind(&mut self, body: &mut Body<'_>) -> Part {
        let portal = Bytes::copy_from_slice(body.cstr().unwrap_or_default());
        let name = body.cstr().unwrap_or_default();
        let prepared = self.statements.get(name).cloned().unwrap_or_else(|| {
            // Made by the statement PREPARE: the wire does not know its text.
            Arc::new(Prepared {
                sql: format!("EXECUTE {}", String::from_utf8_lossy(name)).into(),
                declared: Vec::new(),
                described: OnceLock::new(),
            })
        });
        let params = params(body, &prepared).unwrap_or_default();
        self.portals.insert(
            portal,
            Portal {
                prepared: Arc::clone(&prepared),
                params,
                begun: false,
            },
        );
        Part::Bind(prepared)
    }

    fn execute(&mut self, body: &mut Body<'_>) -> MessageKind {
        let name = body.cstr().unwrap_or_default();
        match self.portals.get_mut(name) {
            Some(portal) => MessageKind::Postgres {
                sql: Arc::clone(&portal.prepared.sql),
                params: portal.params.clone(),
                more: std::mem::replace(&mut portal.begun, true),
            },
            // Made by the statement DECLARE.
            None => MessageKind::Postgres {
                sql: format!("FETCH {}", String::from_utf8_lossy(name)).into(),
                params: Vec::new(),
                more: false,
            },
        }
    }
}

/// The parameters of a Bind, behind the names in it.
fn params(body: &mut Body<'_>, prepared: &Prepared) -> Option<Vec<Param>> {
    let count = body.u16()?;
    let formats: Vec<u16> = (0..count).map_while(|_| body.u16()).collect();
    let types = prepared.described.get().unwrap_or(&prepared.declared);
    let count = body.u16()?;
    (0..usize::from(count))
        .map(|i| {
            // None for all text, one for all, or one for each.
            let format = match formats.as_slice() {
                [] => 0,
                [of_all] => *of_all,
                of_each => of_each.get(i).copied().unwrap_or(0),
            };
            let of = types.get(i).copied().unwrap_or(0);
            Some(param::param(of, format == 1, body.value()?))
        })
        .collect()
}
