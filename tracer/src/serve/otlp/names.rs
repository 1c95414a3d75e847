//! Every name that is sent. Those of OpenTelemetry are of its semantic conventions 1.42, the GenAI ones of their own repository
//! (schema 1.42.0), in which all is still in development. `tracer.` is what no convention names: there the rest of a name is
//! where the JSON report has it, of a request (`tracer.request.cpu_ns`), of a call (`tracer.call.dns_ns`) or of its buckets
//! (`tracer.bucket.wait.loop_ns`).

use crate::report::bucket::Bucket;

/// The conventions that the names are of.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.42.0";

/// Of a resource.
pub mod resource {
    pub const SERVICE_NAME: &str = "service.name";
    pub const SERVICE_INSTANCE_ID: &str = "service.instance.id";
    pub const HOST_NAME: &str = "host.name";
    pub const HOST_ID: &str = "host.id";
    pub const PROCESS_PID: &str = "process.pid";
    pub const PROCESS_EXECUTABLE_PATH: &str = "process.executable.path";
    pub const PROCESS_COMMAND_LINE: &str = "process.command_line";
    pub const PROCESS_RUNTIME_NAME: &str = "process.runtime.name";
    pub const PROCESS_RUNTIME_VERSION: &str = "process.runtime.version";
    pub const CONTAINER_ID: &str = "container.id";
    pub const CONTAINER_IMAGE_NAME: &str = "container.image.name";
    pub const K8S_NAMESPACE_NAME: &str = "k8s.namespace.name";
    pub const K8S_POD_NAME: &str = "k8s.pod.name";
    pub const K8S_CONTAINER_NAME: &str = "k8s.container.name";
    pub const K8S_POD_UID: &str = "k8s.pod.uid";
    pub const K8S_NODE_NAME: &str = "k8s.node.name";
    pub const TELEMETRY_SDK_NAME: &str = "telemetry.sdk.name";
    pub const TELEMETRY_SDK_LANGUAGE: &str = "telemetry.sdk.language";
    pub const TELEMETRY_SDK_VERSION: &str = "telemetry.sdk.version";

    /// The name of what makes a pod, by its kind; none where no convention knows that.
    pub fn k8s_owner(kind: &str) -> Option<&'static str> {
        Some(match kind {
            "CronJob" => "k8s.cronjob.name",
            "DaemonSet" => "k8s.daemonset.name",
            "Deployment" => "k8s.deployment.name",
            "Job" => "k8s.job.name",
            "ReplicaSet" => "k8s.replicaset.name",
            "StatefulSet" => "k8s.statefulset.name",
            _ => return None,
        })
    }
}

/// Of HTTP, and of any exchange.
pub mod http {
    pub const REQUEST_METHOD: &str = "http.request.method";
    pub const REQUEST_METHOD_ORIGINAL: &str = "http.request.method_original";
    pub const REQUEST_RESEND_COUNT: &str = "http.request.resend_count";
    pub const RESPONSE_STATUS_CODE: &str = "http.response.status_code";
    pub const ROUTE: &str = "http.route";
    pub const URL_PATH: &str = "url.path";
    pub const URL_SCHEME: &str = "url.scheme";
    pub const SERVER_ADDRESS: &str = "server.address";
    pub const SERVER_PORT: &str = "server.port";
    pub const ERROR_TYPE: &str = "error.type";

    /// What stands for a method, or an error, that has no name of its own.
    pub const OTHER: &str = "_OTHER";
}

/// Of calls to models.
pub mod gen_ai {
    pub const OPERATION_NAME: &str = "gen_ai.operation.name";
    pub const PROVIDER_NAME: &str = "gen_ai.provider.name";
    pub const REQUEST_MODEL: &str = "gen_ai.request.model";
    pub const REQUEST_STREAM: &str = "gen_ai.request.stream";
    pub const RESPONSE_TIME_TO_FIRST_CHUNK: &str = "gen_ai.response.time_to_first_chunk";
    pub const USAGE_INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
    pub const USAGE_OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
}

/// Of the application's function that made a call.
pub mod code {
    pub const FUNCTION_NAME: &str = "code.function.name";
    pub const FILE_PATH: &str = "code.file.path";
    pub const LINE_NUMBER: &str = "code.line.number";
}

/// What no convention names.
pub mod own {
    pub const REQUEST_ID: &str = "tracer.request.id";
    pub const REQUEST_COMPLETE: &str = "tracer.request.complete";
    pub const REQUEST_CPU_NS: &str = "tracer.request.cpu_ns";
    pub const REQUEST_CONTEXTS: &str = "tracer.request.contexts";
    pub const REQUEST_FIRST_BYTE_NS: &str = "tracer.request.first_byte_ns";

    pub const CALL_ID: &str = "tracer.call.id";
    pub const CALL_DNS_NS: &str = "tracer.call.dns_ns";
    pub const CALL_CONNECT_NS: &str = "tracer.call.connect_ns";
    pub const CALL_TLS_NS: &str = "tracer.call.tls_ns";
    pub const CALL_SEND_NS: &str = "tracer.call.send_ns";
    pub const CALL_FIRST_BYTE_NS: &str = "tracer.call.first_byte_ns";
    pub const CALL_FIRST_CONTENT_NS: &str = "tracer.call.first_content_ns";
    pub const CALL_STREAM_NS: &str = "tracer.call.stream_ns";
    pub const CALL_READ_DELAY_NS: &str = "tracer.call.read_delay_ns";
    pub const CALL_LONGEST_GAP_NS: &str = "tracer.call.longest_gap_ns";
    pub const CALL_RTT_NS: &str = "tracer.call.rtt_ns";
    pub const CALL_CHUNKS: &str = "tracer.call.chunks";
    pub const CALL_BYTES_IN: &str = "tracer.call.bytes_in";
    pub const CALL_BYTES_OUT: &str = "tracer.call.bytes_out";
    pub const CALL_CONNECTION_REUSED: &str = "tracer.call.connection_reused";
    pub const CALL_VENDOR_REQUEST_ID: &str = "tracer.call.vendor_request_id";
    pub const CALL_VENDOR_REPORTED_NS: &str = "tracer.call.vendor_reported_ns";
    pub const CALL_RETRY_AFTER_NS: &str = "tracer.call.rate_limit.retry_after_ns";
    pub const CALL_END: &str = "tracer.call.end";
    /// It was made after the answer.
    pub const CALL_BACKGROUND: &str = "tracer.call.background";

    /// Buckets that no probe could see; others that are not told are 0.
    pub const BUCKET_UNKNOWN: &str = "tracer.bucket.unknown";
    /// How long a phase or a piece lasted, of an event or a span that is called as its bucket.
    pub const DURATION_NS: &str = "tracer.duration_ns";

    /// An event: another request's steps kept the event loop.
    pub const DELAY: &str = "tracer.delay";
    pub const DELAY_REQUEST: &str = "tracer.delay.request";
    pub const DELAY_ROUTE: &str = "tracer.delay.route";
    pub const DELAY_WAIT_NS: &str = "tracer.delay.wait_ns";
}

/// Of figures, with the bounds that the conventions give.
pub mod metric {
    pub const HTTP_SERVER_REQUEST_DURATION: &str = "http.server.request.duration";
    pub const GEN_AI_OPERATION_DURATION: &str = "gen_ai.client.operation.duration";
    pub const GEN_AI_TIME_TO_FIRST_CHUNK: &str = "gen_ai.client.operation.time_to_first_chunk";
    pub const GEN_AI_TOKEN_USAGE: &str = "gen_ai.client.token.usage";
    pub const REQUEST_BUCKET_TIME: &str = "tracer.request.bucket.time";

    /// `input` or `output`.
    pub const TOKEN_TYPE: &str = "gen_ai.token.type";
    /// The name of a bucket.
    pub const BUCKET: &str = "tracer.bucket";
    /// On the series of those that are too many.
    pub const OVERFLOW: &str = "otel.metric.overflow";

    pub const HTTP_SECONDS: [f64; 14] =
        [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
    pub const GEN_AI_SECONDS: [f64; 14] =
        [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
    /// Powers of four.
    pub const GEN_AI_TOKENS: [f64; 14] = [
        1.0,
        4.0,
        16.0,
        64.0,
        256.0,
        1024.0,
        4096.0,
        16384.0,
        65536.0,
        262_144.0,
        1_048_576.0,
        4_194_304.0,
        16_777_216.0,
        67_108_864.0,
    ];
}

/// The attribute with the time in a bucket.
pub fn of_bucket(bucket: Bucket) -> String {
    format!("tracer.bucket.{}_ns", bucket.name())
}
