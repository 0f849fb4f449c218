//! `ssl_read_internal` and `ssl_write_internal`: the one call inside SSL_read, SSL_read_ex, SSL_write, ...
//!
//! Both take (s, buf, num, ..., size_t *count) and return > 0 on success. A hook on the call instruction costs 0.7 µs
//! where the entry of SSL_write (`sub rsp`) costs 9 µs, and the result is taken behind the call, at best on the `jle`
//! that follows. Known by symbol, or as the one function that both forms (plain and _ex) call.

use obi_abi::role;
use symbolizer::code::{Body, Register};
use symbolizer::{Binary, Function};

use super::{TRANSFERS, Transfer, shape};
use crate::{Hook, Returns};

pub(super) const NAMES: [&str; 2] = ["ssl_read_internal", "ssl_write_internal"];

/// Addresses of the inner functions, where they are certain.
pub(super) struct Inner {
    read: Option<u64>,
    /// With the register of the count: OpenSSL 3.3 put `flags` before it.
    write: Option<(u64, Register)>,
}

impl Inner {
    pub fn find(
        binary: &Binary,
        transfers: &[Option<Function>],
        bodies: &[Option<Body>],
        named: &[Option<Function>],
    ) -> Inner {
        let by_name = |index: usize| {
            named
                .get(index)?
                .as_ref()
                .filter(|f| f.variant.is_none())
                .map(|f| f.address)
        };
        let read = by_name(0).or_else(|| common(bodies, role::READ));
        let write = by_name(1).or_else(|| common(bodies, role::WRITE));
        // SSL_write passes the address of a local variable; without it the place of the count is not known.
        let count = || {
            let plain = TRANSFERS.iter().position(|t| t.name == "SSL_write")?;
            let (function, body) = (
                transfers.get(plain)?.as_ref()?,
                bodies.get(plain)?.as_ref()?,
            );
            binary.stack_argument(
                function,
                call_of(body, write?)?,
                &[Register::Rcx, Register::R8],
            )
        };
        Inner {
            read,
            write: write.and_then(|address| Some((address, count()?))),
        }
    }

    /// A hook on the one call of the inner function in `body`.
    pub fn hook(
        &self,
        binary: &Binary,
        transfer: &Transfer,
        function: &Function,
        body: Option<&Body>,
    ) -> Option<Hook> {
        let (target, count) = match transfer.role {
            role::READ => (self.read?, Register::Rcx),
            _ => self.write?,
        };
        on_call(
            binary,
            transfer.name,
            transfer.role,
            function,
            call_of(body?, target)?,
            count,
        )
    }
}

/// A hook on the call instruction at `call` inside `function`.
pub(super) fn on_call(
    binary: &Binary,
    name: &'static str,
    role: u8,
    function: &Function,
    call: u64,
    count: Register,
) -> Option<Hook> {
    let site = binary.site_behind_call(function, call, &[Register::Rax])?;
    let returns = Returns::Sites(vec![binary.file_offset(site.address)?]);
    Some(Hook {
        name,
        shape: shape(role, Some(count)),
        entry: binary.file_offset(call)?,
        returns,
    })
}

/// The call of `target`, if there is exactly one.
fn call_of(body: &Body, target: u64) -> Option<u64> {
    let mut calls = body.calls.iter().filter(|(_, to)| *to == target);
    let (site, _) = calls.next()?;
    (calls.next().is_none() && body.whole).then_some(*site)
}

/// The one function that the plain form and an `_ex` form call.
fn common(bodies: &[Option<Body>], role: u8) -> Option<u64> {
    let of = |ex: bool| {
        let same = TRANSFERS
            .iter()
            .zip(bodies)
            .filter(move |(t, _)| t.role == role && t.count.is_some() == ex);
        same.filter_map(|(_, body)| body.as_ref())
            .flat_map(|body| body.calls.iter().map(|(_, target)| *target))
    };
    let mut shared: Vec<u64> = of(true)
        .filter(|target| of(false).any(|other| other == *target))
        .collect();
    shared.sort_unstable();
    shared.dedup();
    match shared.as_slice() {
        [target] => Some(*target),
        _ => None,
    }
}
