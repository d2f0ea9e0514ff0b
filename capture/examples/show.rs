//! temp
#![allow(
    clippy::all,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::as_conversions
)]
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, trace::v1::ExportTraceServiceRequest,
};
use prost::Message;
fn main() {
    let width: usize = std::env::args().nth(1).unwrap().parse().unwrap();
    for path in std::env::args().skip(2) {
        let bytes = std::fs::read(&path).unwrap();
        let txt = std::fs::read_to_string(path.replace(".pb", ".txt")).unwrap();
        let head = txt.lines().next().unwrap().to_owned();
        println!("##### {path} {head}");
        let limits = capture::otlp::Limits::default();
        let read = if head.contains("/v1/traces") {
            capture::otlp::spans(ExportTraceServiceRequest::decode(&*bytes).unwrap(), &limits)
                .unwrap()
        } else if head.contains("/v1/logs") {
            capture::otlp::logs(ExportLogsServiceRequest::decode(&*bytes).unwrap(), &limits)
                .unwrap()
        } else {
            continue;
        };
        println!("rejected {} {:?}", read.rejected, read.why);
        for h in read.happenings {
            let d = format!("{:?}", h.envelope);
            // print only non-default fields
            let blank = format!("{:?}", schemas::Envelope::blank());
            let fields: Vec<&str> = d.split(", ").filter(|f| !blank.contains(f)).collect();
            println!("-- {}", fields.join(", "));
            println!("   slots {:?}", h.slots);
            for c in &h.contents {
                let t = String::from_utf8_lossy(&c.data);
                if c.kind == "resource" {
                    continue;
                }
                let t: String = t.chars().take(width).collect();
                println!("   [{}|{}|{}|{}] {}", c.role, c.kind, c.media_type, c.data.len(), t);
            }
        }
    }
}
