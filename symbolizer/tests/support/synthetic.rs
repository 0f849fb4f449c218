//! Small ELF files made from parts, so that each part can lie. Shared by tests and fuzz targets.
#![allow(dead_code)]

/// PT_LOAD flags.
pub const READ: u32 = 4;
pub const EXECUTE: u32 = 1;
pub const WRITE: u32 = 2;

/// Where [`go_program`] puts its segments.
pub const TEXT: u64 = 0x40_1000;
pub const RODATA: u64 = 0x50_0000;
pub const DATA: u64 = 0x60_0000;

/// A file to be: segments to load and sections that are not loaded.
#[derive(Clone, Default)]
pub struct Image {
    /// (flags, address, bytes)
    pub segments: Vec<(u32, u64, Vec<u8>)>,
    /// (name, type, flags, bytes)
    pub sections: Vec<(&'static str, u32, u64, Vec<u8>)>,
}

impl Image {
    pub fn segment(mut self, flags: u32, address: u64, bytes: Vec<u8>) -> Image {
        self.segments.push((flags, address, bytes));
        self
    }

    pub fn section(mut self, name: &'static str, kind: u32, flags: u64, bytes: Vec<u8>) -> Image {
        self.sections.push((name, kind, flags, bytes));
        self
    }

    pub fn build(&self) -> Vec<u8> {
        let mut names = vec![0u8];
        let headers = 64 + 56 * self.segments.len();
        let mut body = Vec::new();
        let mut programs = Vec::new();
        for (flags, address, bytes) in &self.segments {
            let (offset, len) = ((headers + body.len()) as u64, bytes.len() as u64);
            programs.extend([1u32.to_le_bytes(), flags.to_le_bytes()].concat());
            programs.extend(
                [offset, *address, *address, len, len, 1]
                    .iter()
                    .flat_map(|w| w.to_le_bytes()),
            );
            body.extend(bytes);
        }
        let mut table = vec![0u8; 64];
        let shstrtab = (".shstrtab", 3, 0, Vec::new());
        for (name, kind, flags, bytes) in self.sections.iter().chain([&shstrtab]) {
            let at = names.len() as u32;
            names.extend([name.as_bytes(), &[0]].concat());
            let bytes = if *name == ".shstrtab" { &names } else { bytes };
            let (offset, len) = ((headers + body.len()) as u64, bytes.len() as u64);
            table.extend([at.to_le_bytes(), kind.to_le_bytes()].concat());
            // A symbol table links to the section behind it.
            let link = (table.len() / 64 + 1) as u64;
            table.extend(
                [*flags, 0, offset, len, link, 1, 0]
                    .iter()
                    .flat_map(|w| w.to_le_bytes()),
            );
            body.extend(bytes);
        }
        let count = self.sections.len() as u16 + 2;
        let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        file.extend(
            [
                2u16.to_le_bytes(),
                62u16.to_le_bytes(),
                1u16.to_le_bytes(),
                [0, 0],
            ]
            .concat(),
        );
        let sections = (headers + body.len()) as u64;
        file.extend([TEXT, 64, sections].iter().flat_map(|w| w.to_le_bytes()));
        let sizes = [
            0,
            0,
            64,
            56,
            self.segments.len() as u16,
            64,
            count,
            count - 1,
        ];
        file.extend(sizes.iter().flat_map(|w: &u16| w.to_le_bytes()));
        [file, programs, body, table].concat()
    }
}

/// Words of a pclntab header that a test may change.
#[derive(Clone, Copy)]
pub struct Header {
    pub magic: u32,
    pub count: u64,
    pub text: u64,
    pub names: u64,
    pub functions: u64,
}

/// A function table: (name, entry) ascending, `end` behind the last one.
pub fn pclntab(functions: &[(&str, u32)], end: u32, change: impl Fn(&mut Header)) -> Vec<u8> {
    let mut names = vec![0u8];
    let mut offsets = Vec::new();
    for (name, _) in functions {
        offsets.push(names.len() as u32);
        names.extend([name.as_bytes(), &[0]].concat());
    }
    names.resize(names.len().next_multiple_of(8), 0);
    let mut entries = Vec::new();
    let mut records = Vec::new();
    for ((_, entry), name) in functions.iter().zip(&offsets) {
        let record = (functions.len() * 8 + 4 + records.len()) as u32;
        entries.extend([entry.to_le_bytes(), record.to_le_bytes()].concat());
        records.extend([entry.to_le_bytes(), name.to_le_bytes()].concat());
        records.extend([0; 36]);
    }
    entries.extend(end.to_le_bytes());
    let mut header = Header {
        magic: 0xffff_fff1,
        count: functions.len() as u64,
        text: TEXT,
        names: 72,
        functions: 72 + names.len() as u64,
    };
    change(&mut header);
    let mut table = header.magic.to_le_bytes().to_vec();
    table.extend([0, 0, 1, 8]);
    let Header {
        count,
        text,
        names: at,
        functions: functions_at,
        ..
    } = header;
    table.extend(
        [count, 1, text, at, at, at, at, functions_at]
            .iter()
            .flat_map(|w| w.to_le_bytes()),
    );
    [table, names, entries, records].concat()
}

pub fn build_info(version: &str, modules: &str) -> Vec<u8> {
    let mut bytes = b"\xff Go buildinf:\x08\x02".to_vec();
    bytes.resize(32, 0);
    let modules = [&[b'<'; 16], modules.as_bytes(), &[b'>'; 16]].concat();
    for text in [version.as_bytes(), &modules] {
        let mut len = text.len();
        while len >= 0x80 {
            bytes.push(len as u8 | 0x80);
            len >>= 7;
        }
        bytes.push(len as u8);
        bytes.extend(text);
    }
    bytes
}

/// `lea r12,[rsp-0x68]; cmp r12,[r14+0x10]; jbe +N; push rbp; ...; pop rbp; ret; call +0; jmp entry`.
pub fn go_function() -> Vec<u8> {
    let mut code = vec![
        0x4c, 0x8d, 0x64, 0x24, 0x98, 0x4d, 0x3b, 0x66, 0x10, 0x76, 0x03,
    ];
    code.extend([0x55, 0x5d, 0xc3]);
    code.extend([0xe8, 0, 0, 0, 0, 0xeb, 0xeb]);
    code.resize(32, 0xcc);
    code
}

/// A program with crypto/tls as far as its tables tell, and franz-go among its modules.
pub fn go_program(table: Vec<u8>, info: Vec<u8>) -> Image {
    let text: Vec<u8> = (0..4).flat_map(|_| go_function()).collect();
    Image::default()
        .segment(READ | EXECUTE, TEXT, text)
        .segment(READ, RODATA, table)
        .segment(READ | WRITE, DATA, info)
}

pub const FUNCTIONS: [(&str, u32); 3] = [
    ("crypto/tls.(*Conn).Close", 0),
    ("crypto/tls.(*Conn).Read", 32),
    ("crypto/tls.(*Conn).Write", 64),
];
pub const MODULES: &str =
    "path\tx\nmod\tx\t(devel)\t\ndep\tgithub.com/twmb/franz-go\tv1.22.2\th1:\n";

pub fn good_table() -> Vec<u8> {
    pclntab(&FUNCTIONS, 96, |_| {})
}

pub fn good_info() -> Vec<u8> {
    build_info("go1.22.12", MODULES)
}
