//! Delivery with patience. In: a request; out: sent, or given up and counted.
//!
//! What may be tried again is, with growing pauses, for a minute; meanwhile the queue in front fills, drops and counts. When the
//! agent ends, pauses end and a few seconds are left for everything.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::target::{self, Target};
use super::transport::{Refused, Request, Transport};
use super::{Ending, LAST};
use crate::stop::Stop;
use crate::telemetry::Telemetry;

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
const GIVE_UP: Duration = Duration::from_secs(60);
const LOG_EVERY: Duration = Duration::from_secs(60);

pub struct Delivery {
    target: Target,
    transport: Transport,
    telemetry: Arc<Telemetry>,
    done: Stop,
    ending: Ending,
    /// When the failure that goes on was last logged.
    failing: Option<Instant>,
}

impl Delivery {
    pub fn new(
        target: Target,
        telemetry: Arc<Telemetry>,
        done: Stop,
        ending: Ending,
    ) -> anyhow::Result<Delivery> {
        let transport = Transport::new(&target)?;
        Ok(Delivery {
            target,
            transport,
            telemetry,
            done,
            ending,
            failing: None,
        })
    }

    /// `spans`: what is lost when this cannot be delivered (0 for metrics, which the next request repeats).
    pub fn deliver(&mut self, request: Request, spans: u64) {
        let began = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            match self.transport.send(request.clone()) {
                Ok(accepted) => {
                    if self.failing.take().is_some() {
                        tracing::info!(
                            url = target::shown(&self.target.url),
                            signal = self.target.signal.as_str(),
                            "OTLP is delivered again"
                        );
                    }
                    if accepted.rejected > 0 {
                        self.telemetry.lost("otlp_rejected", accepted.rejected);
                        self.complain(&format!(
                            "the receiver rejected {}: {}",
                            accepted.rejected, accepted.message
                        ));
                    }
                    return;
                }
                Err(refused) => {
                    self.complain(&refused.message);
                    if !refused.again || began.elapsed() >= GIVE_UP || !self.wait(&refused, pause) {
                        self.telemetry.lost("otlp_send_failed", spans);
                        return;
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// False when no further try is due.
    fn wait(&self, refused: &Refused, pause: Duration) -> bool {
        let pause = refused
            .after
            .map_or_else(|| jittered(pause), |after| after.min(GIVE_UP));
        if !self.done.wait(pause) {
            return true;
        }
        // Ending: a short pause between tries, as long as there is time.
        std::thread::sleep(Duration::from_millis(200));
        self.ending.get().is_none_or(|since| since.elapsed() < LAST)
    }

    fn complain(&mut self, message: &str) {
        if self.failing.is_none_or(|last| last.elapsed() >= LOG_EVERY) {
            self.failing = Some(Instant::now());
            tracing::warn!(
                url = target::shown(&self.target.url),
                signal = self.target.signal.as_str(),
                "OTLP is not delivered: {message}"
            );
        }
    }
}

/// Agents that lost the same endpoint do not come back in step.
fn jittered(pause: Duration) -> Duration {
    let noise = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |d| d.subsec_nanos() % 1000);
    pause.mul_f64(0.75 + f64::from(noise) / 2000.0)
}
