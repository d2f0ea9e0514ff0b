//! Facts about the machine, and about a process.

/// Prints what figures depend on.
pub(crate) fn print() {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let line = |name: &str| cpu.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    let cores = std::thread::available_parallelism().unwrap();
    println!("{} × {cores}", line("model name").trim_start_matches("model name\t: "));
    println!("sha_ni: {}", line("flags").contains("sha_ni"));
    println!(
        "kernel {}, load {}",
        read("/proc/sys/kernel/osrelease").trim(),
        read("/proc/loadavg").trim()
    );
}

/// Seconds of CPU that a process has used.
pub(crate) fn cpu(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = text.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: f64 = [11, 12].iter().map(|at| fields[*at].parse::<f64>().unwrap()).sum();
    ticks / 100.0
}

/// Kilobytes of memory that a process has.
pub(crate) fn memory(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
