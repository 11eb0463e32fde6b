//! What a service says about its process, in the Engine's words: what runs, as whom, and what it may use.

use super::engine::ApiVersion;
use super::labels::Labels;
use super::spec::{
    ContainerBody, DeviceBody, DeviceRequestBody, HealthcheckBody, HostConfigBody, LogBody, RateBody,
    RestartBody, UlimitBody, WeightBody,
};
use mainstay_model::{
    DeviceRate, DeviceRequest, DeviceWeight, Readiness, RestartPolicy, Secret, Service, ServiceMore,
    WrittenCheck,
};
use std::time::Duration;

/// The container process: what runs, and as whom.
pub(super) fn of(service: &Service, api: ApiVersion) -> ContainerBody {
    let value = |(key, value): (&String, &Secret)| format!("{key}={}", value.expose());
    ContainerBody {
        cmd: service.command.clone(),
        entrypoint: service.entrypoint.clone(),
        env: service.environment.iter().map(value).chain(service.more.written.unset.clone()).collect(),
        user: service.user.clone(),
        working_dir: service.working_dir.clone(),
        hostname: service.hostname.clone(),
        domainname: service.domainname.clone(),
        tty: service.tty,
        attach_stdout: true,
        attach_stderr: true,
        open_stdin: service.stdin_open,
        stop_signal: service.stop_signal.clone(),
        stop_timeout: service.more.written.stop_grace_period.then_some(service.stop_grace_period.as_secs()),
        healthcheck: healthcheck(service, api),
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
        restart_policy: restart(service),
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
        cap_add: service.cap_add.iter().map(|name| capability(name)).collect(),
        cap_drop: service.cap_drop.iter().map(|name| capability(name)).collect(),
        privileged: service.privileged,
        readonly_rootfs: service.read_only,
        security_opt: service.security_opt.clone(),
        sysctls: service.sysctls.clone(),
        ulimits: service.ulimits.iter().map(ulimit).collect(),
        shm_size: service.shm_size,
        devices: service.devices.iter().map(|text| device(text)).collect(),
        cpu_period: resources.cpu_period,
        cpu_quota: resources.cpu_quota,
        cpu_realtime_period: resources.cpu_rt_period,
        cpu_realtime_runtime: resources.cpu_rt_runtime,
        cpuset_cpus: resources.cpuset.clone(),
        cpu_count: resources.cpu_count,
        cpu_percent: resources.cpu_percent,
        memory_swappiness: resources.mem_swappiness,
        oom_kill_disable: resources.oom_kill_disable,
        oom_score_adj: resources.oom_score_adj,
        ..outside(service)
    }
}

/// What few services ask for: other namespaces, devices that drivers hand out, rates of block devices.
fn outside(service: &Service) -> HostConfigBody {
    let ServiceMore {
        device_requests,
        device_cgroup_rules,
        uts,
        userns_mode,
        cgroup,
        cgroup_parent,
        runtime,
        isolation,
        storage_opt,
        annotations,
        ..
    } = service.more.as_ref();
    let request = |request: &DeviceRequest| DeviceRequestBody {
        driver: request.driver.clone().unwrap_or_default(),
        count: request.count,
        device_ids: request.device_ids.clone(),
        capabilities: vec![request.capabilities.clone()],
        options: request.options.clone(),
    };
    let blkio = service.resources.blkio.as_deref().cloned().unwrap_or_default();
    let rates = |rates: Vec<DeviceRate>| {
        rates.into_iter().map(|DeviceRate { path, rate }| RateBody { path, rate }).collect()
    };
    let weight = |DeviceWeight { path, weight }| WeightBody { path, weight };
    HostConfigBody {
        blkio_weight: Some(blkio.weight).filter(|weight| *weight > 0),
        blkio_weight_device: blkio.weight_device.into_iter().map(weight).collect(),
        blkio_device_read_bps: rates(blkio.device_read_bps),
        blkio_device_read_iops: rates(blkio.device_read_iops),
        blkio_device_write_bps: rates(blkio.device_write_bps),
        blkio_device_write_iops: rates(blkio.device_write_iops),
        device_cgroup_rules: device_cgroup_rules.clone(),
        device_requests: device_requests.iter().map(request).collect(),
        cgroup_parent: cgroup_parent.clone(),
        cgroupns_mode: cgroup.clone(),
        userns_mode: userns_mode.clone(),
        uts_mode: uts.clone(),
        runtime: runtime.clone(),
        isolation: isolation.clone(),
        storage_opt: storage_opt.clone(),
        annotations: annotations.clone(),
        ..HostConfigBody::default()
    }
}

/// A capability by the kernel's name for it, as Compose sends it.
fn capability(name: &str) -> String {
    let upper = name.to_ascii_uppercase();
    if upper == "ALL" || upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") }
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
    job.more.written.healthcheck =
        Some(WrittenCheck { test: vec!["NONE".to_owned()], ..WrittenCheck::default() });
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

fn restart(service: &Service) -> RestartBody {
    let (name, retries) = match service.restart {
        RestartPolicy::No if !service.more.written.restart => ("", None),
        RestartPolicy::No => ("no", None),
        RestartPolicy::OnFailure { max_retries } => ("on-failure", max_retries),
        RestartPolicy::Always => ("always", None),
        RestartPolicy::UnlessStopped => ("unless-stopped", None),
    };
    RestartBody { name, maximum_retry_count: retries.unwrap_or(0) }
}

/// The file's healthcheck, so that `docker ps` shows health; the Engine's verdict is not what we go by.
fn healthcheck(service: &Service, api: ApiVersion) -> Option<HealthcheckBody> {
    let nanos = |time: &Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let check = service.more.written.healthcheck.as_ref()?;
    Some(HealthcheckBody {
        test: check.test.clone(),
        interval: check.interval.as_ref().map(nanos),
        timeout: check.timeout.as_ref().map(nanos),
        retries: check.retries,
        start_period: check.start_period.as_ref().map(nanos),
        start_interval: check.start_interval.as_ref().filter(|_| api >= ApiVersion::v1(44)).map(nanos),
    })
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
