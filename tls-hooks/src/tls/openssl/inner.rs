//! `ssl_read_internal` and `ssl_write_internal`: the one call inside SSL_read, SSL_read_ex, SSL_write, ...
//!
//! Both take (s, buf, num, ..., size_t *count) and return > 0 on success. A hook on the call instruction costs 0.7 µs
//! where the entry of SSL_write (`sub rsp`) costs 9 µs, and the result is taken behind the call, at best on the `jle`
//! that follows. Known by symbol, or as the one function that both forms (plain and _ex) call.

use obi_abi::role;
use symbolizer::code::{Body, Register};
use symbolizer::{Binary, Function};

use super::{TRANSFERS, Transfer, shape};
use crate::{Hook, ReturnSite, Returns};

pub(super) const NAMES: [&str; 2] = ["ssl_read_internal", "ssl_write_internal"];

/// Addresses of the inner functions, where they are certain.
pub(super) struct Inner {
    read: Option<(u64, Register)>,
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
            let function = named.get(index)?.as_ref()?;
            function.variant.is_none().then_some(function.address)
        };
        // The plain form passes the address of a local variable for the count. Where that is not seen, the call is
        // not the one that was meant.
        let count = |plain: &str, target: u64, candidates: &[Register]| {
            let at = TRANSFERS.iter().position(|t| t.name == plain)?;
            let (function, body) = (transfers.get(at)?.as_ref()?, bodies.get(at)?.as_ref()?);
            binary.stack_argument(function, call_of(body, target)?, candidates)
        };
        let certain = |index: usize, role: u8, plain: &str, candidates: &[Register]| {
            let choices = [common(bodies, role), by_name(index)];
            choices
                .into_iter()
                .flatten()
                .find_map(|target| Some((target, count(plain, target, candidates)?)))
        };
        Inner {
            read: certain(0, role::READ, "SSL_read", &[Register::Rcx]),
            write: certain(1, role::WRITE, "SSL_write", &[Register::Rcx, Register::R8]),
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
            role::READ => self.read?,
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
    let returns = Returns::Sites(vec![ReturnSite::in_register(
        binary.file_offset(site.address)?,
    )]);
    Some(Hook {
        name,
        shape: shape(role, Some(count)),
        entry: Some(binary.file_offset(call)?),
        returns,
    })
}

/// The call of `target`, if there is exactly one.
fn call_of(body: &Body, target: u64) -> Option<u64> {
    let mut calls = body.calls.iter().filter(|(_, to)| *to == target);
    let (site, _) = calls.next()?;
    (calls.next().is_none() && body.whole).then_some(*site)
}

/// The function that the plain form calls too and that an `_ex` form calls and nothing else: it does no more than
/// hand its arguments on. The target may be an entry of the PLT.
fn common(bodies: &[Option<Body>], role: u8) -> Option<u64> {
    let of = |ex: bool| {
        let same = TRANSFERS
            .iter()
            .zip(bodies)
            .filter(move |(t, _)| t.role == role && t.count.is_some() == ex);
        same.filter_map(|(_, body)| body.as_ref())
    };
    of(true).find_map(|body| match body.calls.as_slice() {
        [(_, target)] => of(false)
            .any(|plain| plain.calls.iter().any(|(_, to)| to == target))
            .then_some(*target),
        _ => None,
    })
}
