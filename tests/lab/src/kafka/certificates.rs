//! A certificate authority and the brokers' certificate for `localhost` and 127.0.0.1, made by openssl for each run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::step;

/// Of the PKCS12 file; it guards nothing that `broker.pem` beside it would not show.
pub(super) const PKCS12_PASSWORD: &str = "lab-secret";

/// PEM files, and the same as PKCS12 for brokers that cannot read them.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// The authority's certificate: what clients trust.
    pub authority: PathBuf,
    /// Key and chain of the brokers.
    pub broker: PathBuf,
    pub broker_pkcs12: PathBuf,
}

impl Certificates {
    pub fn make(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let at = |name: &str| folder.join(name);
        let openssl = |what: &str, args: &[&str]| {
            step::run(what, Command::new("openssl").args(args).current_dir(folder))
        };
        let key = ["-newkey", "rsa:2048", "-nodes", "-days", "30"];
        let own = [
            "req",
            "-x509",
            "-subj",
            "/CN=obi lab authority",
            "-keyout",
            "ca.key",
            "-out",
            "ca.crt",
        ];
        openssl(
            "make a certificate authority",
            &[&own[..], &key[..]].concat(),
        )?;
        let signed = [
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
        ];
        let by = [
            "req",
            "-x509",
            "-CA",
            "ca.crt",
            "-CAkey",
            "ca.key",
            "-keyout",
            "broker.key",
            "-out",
            "broker.crt",
        ];
        let usage = [
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-addext",
            "extendedKeyUsage=serverAuth",
        ];
        openssl(
            "make the brokers' certificate",
            &[&by[..], &signed[..], &usage[..], &key[..]].concat(),
        )?;
        let pack = [
            "pkcs12",
            "-export",
            "-inkey",
            "broker.key",
            "-in",
            "broker.crt",
            "-certfile",
            "ca.crt",
            "-out",
            "broker.p12",
        ];
        let secret = format!("pass:{PKCS12_PASSWORD}");
        openssl(
            "pack it as PKCS12",
            &[&pack[..], &["-passout", &secret]].concat(),
        )?;
        let mut chain = fs::read(at("broker.key"))?;
        chain.extend(fs::read(at("broker.crt"))?);
        chain.extend(fs::read(at("ca.crt"))?);
        fs::write(at("broker.pem"), chain)?;
        Ok(Self {
            authority: at("ca.crt"),
            broker: at("broker.pem"),
            broker_pkcs12: at("broker.p12"),
        })
    }
}
