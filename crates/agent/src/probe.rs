//! Asking an instance whether it works: eagerly after its start, then at its interval.

use crate::runtimes::Known;
use crate::{Agent, Error, quiet};
use mainstay_model::{Health, Healthcheck, Instance, Probe, Readiness, RuntimeKind, Service};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// First probe after a start. Most services need longer, but those that do not should not wait.
const FIRST: Duration = Duration::from_millis(100);
/// Growth of the pause between eager probes.
const GROWTH: f64 = 1.5;
/// Longest pause between eager probes: a service must not sit ready and unnoticed.
const EAGER: Duration = Duration::from_secs(2);
/// An eager command rests at least as long as it took: `celery inspect ping` starts a whole Python, which is taken from
/// the very start that it asks about.
const REST: u32 = 1;
/// But never longer than this: on a busy machine the last one took long for no fault of its own.
const LONGEST_REST: Duration = Duration::from_secs(4);
/// How long a command waits at most for its instance to be through with its start: some services work all the time.
const FIRST_WAIT: Duration = Duration::from_secs(10);
/// The same once it is known what the command costs, in times of that: a cheap one waits for nothing.
const WAIT: u32 = 4;
/// Interval of `ready:` probes; Kubernetes' default.
const INTERVAL: Duration = Duration::from_secs(10);
/// Time for one `ready:` probe to answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Failures in a row of a `ready:` probe until the instance is unhealthy.
const RETRIES: u32 = 3;
/// How long a `ready:` probe may fail after the start.
const START: Duration = Duration::from_secs(60);
/// Longest explanation kept of a failed probe.
const LONGEST_WHY: usize = 300;

/// One question, whatever its kind, with the times that go with it.
#[derive(Debug, Clone)]
pub(crate) struct Prober {
    question: Question,
    interval: Duration,
    timeout: Duration,
    retries: u32,
    /// Failures this soon after the start do not count.
    start: Duration,
}

#[derive(Debug, Clone)]
enum Question {
    /// Nothing is asked: running is ready.
    Nothing,
    Http {
        path: String,
        address: SocketAddr,
    },
    Tcp {
        address: SocketAddr,
    },
    Exec {
        argv: Vec<String>,
    },
}

impl Prober {
    /// How `instance` of `service` is asked. `of_image` is the healthcheck that its image declares.
    pub fn new(
        service: &Service,
        instance: &Instance,
        of_image: Option<Healthcheck>,
    ) -> Result<Self, String> {
        match (&service.readiness, of_image) {
            (Readiness::Healthcheck { check }, _) => Ok(Self::of_check(check)),
            (Readiness::Image, Some(check)) => Ok(Self::of_check(&check)),
            (Readiness::Probe { probe }, _) => Self::of_probe(probe, service, instance),
            (Readiness::Image | Readiness::Running, _) => {
                let (interval, timeout, retries, start) = (INTERVAL, TIMEOUT, RETRIES, START);
                Ok(Self { question: Question::Nothing, interval, timeout, retries, start })
            }
        }
    }

    fn of_check(check: &Healthcheck) -> Self {
        Self {
            question: Question::Exec { argv: check.test.clone() },
            interval: check.interval,
            timeout: check.timeout,
            retries: check.retries.max(1),
            start: check.start_period,
        }
    }

    fn of_probe(probe: &Probe, service: &Service, instance: &Instance) -> Result<Self, String> {
        let address = |port: &Option<u16>| {
            let port = instance.port.or(*port).or(service.main_port());
            let port = port.ok_or("`ready` names no port and the service has none")?;
            instance.reach(port).ok_or_else(|| format!("this host has no way to port {port} of it"))
        };
        let question = match probe {
            Probe::Http { path, port } => Question::Http { path: path.clone(), address: address(port)? },
            Probe::Tcp { port } => Question::Tcp { address: address(port)? },
            Probe::Exec { command } => Question::Exec { argv: command.clone() },
        };
        Ok(Self { question, interval: INTERVAL, timeout: TIMEOUT, retries: RETRIES, start: START })
    }

    /// Asks for ever; `tell` hears every change.
    pub async fn watch(self, agent: Arc<Agent>, known: Known, mut tell: impl FnMut(Health)) {
        if matches!(self.question, Question::Nothing) {
            return tell(Health::Ready);
        }
        let began = Instant::now();
        let (mut pause, mut failures, mut was_ready) = (FIRST.min(self.interval), 0_u32, false);
        let mut wait = FIRST_WAIT;
        loop {
            tokio::time::sleep(pause).await;
            if !was_ready && matches!(self.question, Question::Exec { .. }) {
                quiet::wait(&agent, &known, wait.min(self.interval)).await;
            }
            let asked = Instant::now();
            let answer = self.ask(&agent, &known).await;
            let took = asked.elapsed();
            wait = (took * WAIT).min(FIRST_WAIT);
            match answer {
                Ok(()) => {
                    (failures, pause) = (0, self.interval);
                    was_ready = true;
                    tell(Health::Ready);
                }
                Err(why) => {
                    failures = failures.saturating_add(1);
                    let patience = self.start + self.interval * self.retries;
                    let counts = was_ready || began.elapsed() >= patience;
                    if counts && failures >= self.retries {
                        tell(Health::Unhealthy { why: shorten(&why) });
                    }
                    pause = if was_ready { self.interval } else { self.eager_pause(pause, took) };
                }
            }
        }
    }

    /// Until the next eager probe, after one that `took` this long.
    fn eager_pause(&self, last: Duration, took: Duration) -> Duration {
        let rest = match self.question {
            Question::Exec { .. } => (took * REST).min(LONGEST_REST),
            // Whoever is asked over the network wakes up when the answer is there; nothing is started for it.
            _ => Duration::ZERO,
        };
        last.min(EAGER).mul_f64(GROWTH).min(EAGER).max(rest).min(self.interval)
    }

    async fn ask(&self, agent: &Agent, known: &Known) -> Result<(), String> {
        let within = |work| tokio::time::timeout(self.timeout, work);
        let late = |_| format!("no answer within {:?}", self.timeout);
        match &self.question {
            Question::Nothing => Ok(()),
            Question::Tcp { address } => {
                let connected = tokio::time::timeout(self.timeout, TcpStream::connect(address)).await;
                connected.map_err(late)?.map(drop).map_err(|e| format!("{address}: {e}"))
            }
            Question::Http { path, address } => within(get(path, *address)).await.map_err(late)?,
            Question::Exec { argv } => self.exec(agent, known, argv).await.map_err(|e| e.whole())?,
        }
    }

    async fn exec(&self, agent: &Agent, known: &Known, argv: &[String]) -> Result<Result<(), String>, Error> {
        let (exit, output) = match known.runtime {
            RuntimeKind::Docker => {
                let probed = agent.runtimes.docker().await?.probe(&known.handle, argv, self.timeout).await?;
                (probed.exit, probed.output)
            }
            RuntimeKind::Native => {
                let probed = agent
                    .runtimes
                    .native
                    .probe_exec(&known.stack, &known.id, argv.to_vec(), self.timeout)
                    .await?;
                (probed.code, probed.output)
            }
        };
        Ok(match exit {
            Some(0) => Ok(()),
            Some(code) if output.trim().is_empty() => {
                Err(format!("the healthcheck ended with status {code}"))
            }
            Some(code) => Err(format!("the healthcheck ended with status {code}: {}", output.trim())),
            None => Err(format!("the healthcheck did not end within {:?}", self.timeout)),
        })
    }
}

/// `GET path`; 2xx and 3xx are ready.
async fn get(path: &str, address: SocketAddr) -> Result<(), String> {
    let io = |e: std::io::Error| format!("{address}: {e}");
    let mut stream = TcpStream::connect(address).await.map_err(io)?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: mainstay\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.map_err(io)?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.map_err(io)?;
    let status = std::str::from_utf8(&head[9..]).ok().and_then(|s| s.parse::<u16>().ok());
    match status {
        Some(200..=399) => Ok(()),
        Some(status) => Err(format!("GET {path} was answered {status}")),
        None => Err(format!("GET {path} was not answered in HTTP")),
    }
}

fn shorten(why: &str) -> String {
    let mut end = why.len().min(LONGEST_WHY);
    while !why.is_char_boundary(end) {
        end -= 1;
    }
    why[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn command(interval: u64) -> Prober {
        let question = Question::Exec { argv: vec!["true".into()] };
        let interval = Duration::from_secs(interval);
        Prober { question, interval, timeout: TIMEOUT, retries: RETRIES, start: START }
    }

    #[test]
    fn a_command_that_takes_long_rests_as_long_and_a_quick_one_does_not() {
        let prober = command(30);
        let (quick, slow) = (Duration::from_millis(20), Duration::from_millis(2500));
        assert_eq!(prober.eager_pause(FIRST, quick), FIRST.mul_f64(GROWTH));
        assert_eq!(prober.eager_pause(FIRST, slow), slow * REST);
        // Seen on a machine with ten times the work it could do: a minute's rest after a probe of twenty seconds.
        assert_eq!(prober.eager_pause(FIRST, slow * 8), LONGEST_REST);
        // The long rest is not what the next pause grows from.
        assert_eq!(prober.eager_pause(slow * REST, quick), EAGER);
    }

    #[test]
    fn the_interval_of_the_file_is_never_exceeded() {
        assert_eq!(command(2).eager_pause(EAGER, Duration::from_secs(4)), Duration::from_secs(2));
    }

    #[test]
    fn whoever_is_asked_over_the_network_is_asked_again_soon_however_long_it_took() {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let prober = Prober { question: Question::Tcp { address }, ..command(30) };
        assert!(prober.eager_pause(FIRST, TIMEOUT) < EAGER);
    }
}
