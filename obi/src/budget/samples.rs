//! Functions of the agent that do nothing, one for each price: hooked and called, they show what a hit costs here.
//!
//! In assembly, because the first instruction is what is measured.

use std::arch::global_asm;

use obi_abi::cost::{CLASSES, class};

global_asm!(
    ".macro obi_sample name, entry, exit",
    ".p2align 4",
    ".globl \\name",
    ".hidden \\name",
    ".type \\name, @function",
    "\\name:",
    "\\entry",
    "\\exit",
    "ret",
    ".size \\name, . - \\name",
    ".endm",
    // A nop of five bytes; a push; what is single-stepped. For returns and shared sites functions of their own.
    ".pushsection .text.obi_samples, \"ax\", @progbits",
    "obi_sample obi_sample_nop5, \".byte 0x0f, 0x1f, 0x44, 0x00, 0x00\", \"\"",
    "obi_sample obi_sample_push, \"push rbp\", \"pop rbp\"",
    "obi_sample obi_sample_step, \"sub rsp, 8\", \"add rsp, 8\"",
    "obi_sample obi_sample_shared, \"push rbp\", \"pop rbp\"",
    "obi_sample obi_sample_return_nop5, \".byte 0x0f, 0x1f, 0x44, 0x00, 0x00\", \"\"",
    "obi_sample obi_sample_return_push, \"push rbp\", \"pop rbp\"",
    "obi_sample obi_sample_return_step, \"sub rsp, 8\", \"add rsp, 8\"",
    "obi_sample obi_sample_return_shared, \"push rbp\", \"pop rbp\"",
    ".popsection",
);

// SAFETY: each is defined above and does nothing but to return.
unsafe extern "C" {
    safe fn obi_sample_nop5();
    safe fn obi_sample_push();
    safe fn obi_sample_step();
    safe fn obi_sample_shared();
    safe fn obi_sample_return_nop5();
    safe fn obi_sample_return_push();
    safe fn obi_sample_return_step();
    safe fn obi_sample_return_shared();
}

pub struct Sample {
    pub class: u8,
    /// What is hit by one call, `class` among it.
    pub hits: &'static [u8],
    pub function: extern "C" fn(),
}

const RETURN_NOP5: u8 = class::RETURN | class::NOP5;
const RETURN_EMULATED: u8 = class::RETURN | class::EMULATED;
const RETURN_STEPPED: u8 = class::RETURN | class::STEPPED;
const RETURN_SHARED: u8 = class::RETURN | class::SHARED;

/// What a sample needs of others' prices stands before it.
#[rustfmt::skip]
pub const SAMPLES: [Sample; CLASSES] = [
    Sample { class: class::NOP5, hits: &[class::NOP5], function: obi_sample_nop5 },
    Sample { class: class::EMULATED, hits: &[class::EMULATED], function: obi_sample_push },
    Sample { class: class::STEPPED, hits: &[class::STEPPED], function: obi_sample_step },
    Sample { class: class::SHARED, hits: &[class::EMULATED, class::SHARED], function: obi_sample_shared },
    Sample { class: RETURN_NOP5, hits: &[RETURN_NOP5], function: obi_sample_return_nop5 },
    Sample { class: RETURN_EMULATED, hits: &[RETURN_EMULATED], function: obi_sample_return_push },
    Sample { class: RETURN_STEPPED, hits: &[RETURN_STEPPED], function: obi_sample_return_step },
    Sample { class: RETURN_SHARED, hits: &[class::EMULATED, RETURN_SHARED], function: obi_sample_return_shared },
];
