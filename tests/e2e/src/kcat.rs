//! kcat as a golden client: libssl.so through Debian's librdkafka, SASL PLAIN. It takes records from a file and prints what it reads;
//! it cannot say which offsets its own records got, so the truth about them is what it read back, beside the broker's end offsets.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use obi_lab::kafka::Cluster;

use crate::clients::Plan;
use crate::truth::{Did, Line, Truth};

const BETWEEN_KEY_AND_VALUE: &str = "|=|";
const BETWEEN_RECORDS: &str = "|;|";

pub struct Kcat<'a> {
    pub cluster: &'a Cluster,
    pub plan: &'a Plan,
    pub folder: &'a Path,
}

impl Kcat<'_> {
    fn command(&self) -> Command {
        let Self { cluster, plan, .. } = self;
        let mut kcat = Command::new("kcat");
        kcat.args([
            "-b",
            &cluster.bootstrap(plan.tls),
            "-X",
            &format!("client.id={}", plan.client_id),
        ]);
        if plan.tls {
            for (key, value) in [
                ("security.protocol", "SASL_SSL"),
                ("sasl.mechanism", plan.library.mechanism()),
                ("sasl.username", &cluster.user.name),
                ("sasl.password", &cluster.user.password),
                (
                    "ssl.ca.location",
                    &cluster.certificates.authority.display().to_string(),
                ),
            ] {
                kcat.args(["-X", &format!("{key}={value}")]);
            }
        }
        kcat
    }

    fn run(&self, kcat: &mut Command) -> Result<Vec<u8>> {
        let output = kcat
            .output()
            .context("kcat is not there\n  hint: apt-get install kcat")?;
        if !output.status.success() {
            bail!(
                "kcat ended with {}: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(output.stdout)
    }

    fn produce(&self, topic: &str, records: &[Vec<u8>], partition: Option<i32>) -> Result<()> {
        let path = self.folder.join(format!("{topic}.records"));
        let mut file = File::create(&path)?;
        for record in records {
            file.write_all(record)?;
            file.write_all(BETWEEN_RECORDS.as_bytes())?;
        }
        let mut kcat = self.command();
        kcat.args([
            "-P",
            "-t",
            topic,
            "-K",
            BETWEEN_KEY_AND_VALUE,
            "-D",
            BETWEEN_RECORDS,
            "-z",
            self.plan.codec,
        ]);
        kcat.args([
            "-H",
            "source=kcat",
            "-H",
            &format!("client={}", self.plan.client_id),
        ]);
        kcat.args([
            "-X",
            "message.max.bytes=10485760",
            "-X",
            "batch.size=8388608",
            "-X",
            "linger.ms=20",
        ]);
        if let Some(partition) = partition {
            kcat.args(["-p", &partition.to_string()]);
        }
        self.run(kcat.stdin(File::open(path)?)).map(|_| ())
    }

    /// `n` records of random sizes from 0 bytes up; kcat's partitioner places them by key.
    pub fn many(&self, n: usize, topics: &[String]) -> Result<()> {
        let mut random = Random::new()?;
        for (at, topic) in topics.iter().enumerate() {
            let records: Vec<_> = (at..n)
                .step_by(topics.len())
                .map(|i| self.small(i, &mut random))
                .collect();
            self.produce(topic, &records, None)?;
        }
        Ok(())
    }

    fn small(&self, i: usize, random: &mut Random) -> Vec<u8> {
        let size = match i % 50 {
            0 => 0,
            1 => random.below(32 << 10),
            _ => random.below(2 << 10),
        };
        let mut text = self.plan.marker.clone();
        while text.len() < size {
            let _ = write!(text, "{}{};", "order ".repeat(8), random.below(1 << 30));
        }
        text.truncate(size);
        record(
            i,
            if size < self.plan.marker.len() {
                vec![b'x'; size]
            } else {
                text.into_bytes()
            },
        )
    }

    /// 8 MiB over three partitions.
    pub fn wide(&self, topic: &str) -> Result<()> {
        let mut random = Random::new()?;
        for partition in 0..3 {
            let records: Vec<_> = (0..11)
                .map(|i| Ok(record(i, self.noise(256 << 10, &mut random)?)))
                .collect::<Result<_>>()?;
            self.produce(topic, &records, Some(partition))?;
        }
        Ok(())
    }

    /// 56 MiB to partition 0.
    pub fn tall(&self, topic: &str) -> Result<()> {
        let mut random = Random::new()?;
        let records: Vec<_> = (0..56)
            .map(|i| Ok(record(i, self.noise(1 << 20, &mut random)?)))
            .collect::<Result<_>>()?;
        self.produce(topic, &records, Some(0))
    }

    /// Random bytes but for the one that separates records.
    fn noise(&self, size: usize, random: &mut Random) -> Result<Vec<u8>> {
        let mut value = vec![0; size];
        random.0.read_exact(&mut value)?;
        value
            .iter_mut()
            .filter(|byte| **byte == b'|')
            .for_each(|byte| *byte = b'!');
        let marker = self.plan.marker.as_bytes();
        if let Some(start) = value.get_mut(..marker.len()) {
            start.copy_from_slice(marker);
        }
        Ok(value)
    }

    /// Reads the topics from their beginning to their end.
    pub fn consume(&self, topics: &[String]) -> Result<Truth> {
        let mut truth = Truth::default();
        for topic in topics {
            let mut kcat = self.command();
            kcat.args([
                "-C",
                "-t",
                topic,
                "-o",
                "beginning",
                "-e",
                "-q",
                "-f",
                "%p\\t%o\\t%K\\t%k\\t%S\\t%h\\n",
            ]);
            kcat.args([
                "-X",
                "fetch.max.bytes=125829120",
                "-X",
                "fetch.message.max.bytes=67108864",
            ]);
            kcat.args(["-X", "receive.message.max.bytes=209715200"]);
            let text = self.run(&mut kcat)?;
            for line in String::from_utf8_lossy(&text).lines() {
                truth.lines.push(
                    read_line(topic, line).with_context(|| format!("kcat printed `{line}`"))?,
                );
            }
        }
        Ok(truth)
    }
}

/// Every tenth record has no key; kcat takes a record without the delimiter as one without a key.
fn record(i: usize, value: Vec<u8>) -> Vec<u8> {
    // An empty record without a key would be an empty line, which kcat leaves out.
    if i % 10 == 9 && !value.is_empty() {
        return value;
    }
    let mut record = format!("key-{i}{BETWEEN_KEY_AND_VALUE}").into_bytes();
    record.extend(value);
    record
}

fn read_line(topic: &str, line: &str) -> Option<Line> {
    let fields: Vec<_> = line.split('\t').collect();
    let [partition, offset, key_size, key, size, headers] = fields.as_slice() else {
        return None;
    };
    let headers = headers.split(',').filter_map(|pair| pair.split_once('='));
    Some(Line {
        did: Did::Consumed,
        topic: topic.to_owned(),
        partition: partition.parse().ok()?,
        offset: offset.parse().ok()?,
        key: (*key_size != "-1").then(|| (*key).to_owned()),
        headers: headers
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
        size: size.parse().ok()?,
    })
}

/// The kernel's random bytes: a test's data differs each time and is never secret.
struct Random(File);

impl Random {
    fn new() -> Result<Self> {
        Ok(Self(File::open("/dev/urandom")?))
    }

    fn below(&mut self, limit: u32) -> usize {
        let mut bytes = [0; 4];
        // Reading the kernel's generator does not fail once it is open; 0 would do as well as any other number.
        let _ = self.0.read_exact(&mut bytes);
        (u32::from_le_bytes(bytes) % limit) as usize
    }
}
