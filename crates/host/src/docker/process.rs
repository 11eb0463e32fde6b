//! What a service says about its process, in the Engine's words: what runs, as whom, and what it may use.

use super::engine::ApiVersion;
use super::labels::Labels;
use super::spec::{
    ContainerBody, DeviceBody, HealthcheckBody, HostConfigBody, LogBody, RestartBody, UlimitBody,
};
use mainstay_model::{Healthcheck, Readiness, RestartPolicy, Secret, Service};
use std::time::Duration;

/// The container process: what runs, and as whom.
pub(super) fn of(service: &Service, api: ApiVersion) -> ContainerBody {
    let value = |(key, value): (&String, &Secret)| format!("{key}={}", value.expose());
    ContainerBody {
        cmd: service.command.clone(),
        entrypoint: service.entrypoint.clone(),
        env: service.environment.iter().map(value).collect(),
        user: service.user.clone(),
        working_dir: service.working_dir.clone(),
        hostname: service.hostname.clone(),
        domainname: service.domainname.clone(),
        tty: service.tty,
        open_stdin: service.stdin_open,
        stop_signal: service.stop_signal.clone(),
        stop_timeout: Some(service.stop_grace_period.as_secs()),
        healthcheck: healthcheck(&service.readiness, api),
        labels: Labels::new(),
        ..ContainerBody::default()
    }
}

/// What the process may do and use.
pub(super) fn limits(service: &Service) -> HostConfigBody {
    let resources = &service.resources;
    let hosts = |(host, addresses): (&String, &Vec<String>)| {
        addresses.iter().map(|address| format!("{host}:{address}")).collect::<Vec<_>>()
    };
    let logging = |logging: &mainstay_model::Logging| LogBody {
        r#type: logging.driver.clone().unwrap_or_default(),
        config: logging.options.clone(),
    };
    let ulimit = |(name, limit): (&String, &mainstay_model::Ulimit)| UlimitBody {
        name: name.clone(),
        soft: limit.soft,
        hard: limit.hard,
    };
    HostConfigBody {
        restart_policy: restart(service.restart),
        init: service.init,
        memory: resources.memory,
        memory_reservation: resources.memory_reservation,
        memory_swap: resources.memory_swap,
        nano_cpus: resources.nano_cpus,
        cpu_shares: resources.cpu_shares,
        pids_limit: resources.pids,
        log_config: service.logging.as_ref().map(logging),
        extra_hosts: service.extra_hosts.iter().flat_map(hosts).collect(),
        dns: service.dns.clone(),
        dns_search: service.dns_search.clone(),
        dns_options: service.dns_opt.clone(),
        group_add: service.group_add.clone(),
        cap_add: service.cap_add.clone(),
        cap_drop: service.cap_drop.clone(),
        privileged: service.privileged,
        readonly_rootfs: service.read_only,
        security_opt: service.security_opt.clone(),
        sysctls: service.sysctls.clone(),
        ulimits: service.ulimits.iter().map(ulimit).collect(),
        shm_size: service.shm_size,
        devices: service.devices.iter().map(|text| device(text)).collect(),
        ..HostConfigBody::default()
    }
}

/// `service` as a job that runs `argv` in place of its command: once, unwatched, with nothing that only one
/// container can have.
pub(super) fn as_job(service: &Service, argv: Option<&[String]>) -> Service {
    let mut job = service.clone();
    if let Some(argv) = argv {
        job.command = Some(argv.to_vec());
    }
    job.restart = RestartPolicy::No;
    job.readiness = Readiness::Running;
    job.ports.clear();
    job.container_name = None;
    job.tty = false;
    job.stdin_open = false;
    for attachment in job.networks.values_mut() {
        attachment.ipv4_address = None;
        attachment.ipv6_address = None;
    }
    job
}

fn restart(policy: RestartPolicy) -> RestartBody {
    let (name, retries) = match policy {
        RestartPolicy::No => ("no", None),
        RestartPolicy::OnFailure { max_retries } => ("on-failure", max_retries),
        RestartPolicy::Always => ("always", None),
        RestartPolicy::UnlessStopped => ("unless-stopped", None),
    };
    RestartBody { name, maximum_retry_count: retries.unwrap_or(0) }
}

/// The file's healthcheck, so that `docker ps` shows health; the Engine's verdict is not what we go by.
fn healthcheck(readiness: &Readiness, api: ApiVersion) -> Option<HealthcheckBody> {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let none = HealthcheckBody {
        test: vec!["NONE".to_owned()],
        interval: 0,
        timeout: 0,
        retries: 0,
        start_period: 0,
        start_interval: None,
    };
    match readiness {
        // The image's own stays.
        Readiness::Probe { .. } | Readiness::Image => None,
        Readiness::Running => Some(none),
        Readiness::Healthcheck { check } => {
            let Healthcheck { test, shell, interval, timeout, retries, start_period, start_interval } = check;
            let mut words = vec![if *shell { "CMD-SHELL" } else { "CMD" }.to_owned()];
            // `test` of the shell form is `/bin/sh -c text`.
            words.extend(test.iter().skip(if *shell { 2 } else { 0 }).cloned());
            Some(HealthcheckBody {
                test: words,
                interval: nanos(*interval),
                timeout: nanos(*timeout),
                retries: *retries,
                start_period: nanos(*start_period),
                start_interval: start_interval.filter(|_| api >= ApiVersion::v1(44)).map(nanos),
            })
        }
    }
}

/// `host[:container[:permissions]]`.
fn device(text: &str) -> DeviceBody {
    let mut parts = text.splitn(3, ':');
    let host = parts.next().unwrap_or(text).to_owned();
    DeviceBody {
        path_in_container: parts.next().unwrap_or(&host).to_owned(),
        cgroup_permissions: parts.next().unwrap_or("rwm").to_owned(),
        path_on_host: host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_default_to_the_same_path_and_all_rights() {
        let expected = DeviceBody {
            path_on_host: "/dev/kvm".to_owned(),
            path_in_container: "/dev/kvm".to_owned(),
            cgroup_permissions: "rwm".to_owned(),
        };
        assert_eq!(device("/dev/kvm"), expected);
        assert_eq!(device("/dev/a:/dev/b:r").cgroup_permissions, "r");
    }
}
