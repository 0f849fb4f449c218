//! Functions of the application that librdkafka calls with each message, consumed or delivered. In: the file that holds such a function, where in it, and how a call is
//! read (by the plan of the library's file). Out: its hooks. The address comes from a call that registers the function or hands it over.
//!
//! What no unwind table knows as the beginning of a function (a table of jumps, code that was made at run time) is not touched.

use symbolizer::{Binary, Function, Machine};

use super::calls::{Side, site};
use crate::{CallHook, Callback};

/// Hooks on the function that begins at this offset of the file.
///
/// # Errors
/// Why it cannot be hooked.
pub fn callback(
    binary: &Binary,
    offset: u64,
    read: &Callback,
) -> Result<Vec<CallHook>, &'static str> {
    if binary.machine() != Machine::X86_64 {
        return Err("only x86-64 programs can be hooked");
    }
    let address = binary.address(offset);
    let address = address.ok_or("the file has no code there")?;
    let Some((start, size)) = binary.function_at(address) else {
        return Err("the file does not say where its functions begin");
    };
    if start != address {
        return Err("no function of the file begins there");
    }
    let function = Function {
        name: read.name.to_owned(),
        address,
        size,
        variant: None,
    };
    let entry = (Side::Entry(read.arguments), read.entry);
    let returns = read.returns.map(|shape| (Side::Return, shape));
    let hooks = [entry].into_iter().chain(returns).map(|(side, shape)| {
        Some(CallHook {
            name: read.name,
            shape,
            at: site(binary, &function, side, &shape)?,
            per_message: true,
        })
    });
    hooks
        .collect::<Option<_>>()
        .ok_or("its code lies outside the file")
}
