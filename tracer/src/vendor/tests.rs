use std::io::Write;

use super::*;

#[test]
fn every_builtin_line_is_parsed() {
    for (file, text) in BUILTIN {
        let (_, error) = parse(file, text);
        assert!(error.is_none(), "{error:?}");
    }
}

#[test]
fn hosts_name_their_provider() {
    let table = VendorTable::builtin();
    for (host, provider) in [
        ("api.openai.com", Some("openai")),
        ("API.OpenAI.com:443", Some("openai")),
        ("api.openai.com.", Some("openai")),
        ("eu.api.openai.com", Some("openai")),
        ("my-team.openai.azure.com", Some("azure.ai.openai")),
        ("x.services.ai.azure.com", Some("azure.ai.inference")),
        ("api.anthropic.com", Some("anthropic")),
        ("generativelanguage.googleapis.com", Some("gcp.gemini")),
        ("us-central1-aiplatform.googleapis.com", Some("gcp.vertex_ai")),
        ("bedrock-runtime.us-east-1.amazonaws.com", Some("aws.bedrock")),
        ("s3.us-east-1.amazonaws.com", None),
        ("api.openai.com.evil.example", None),
        ("storage.googleapis.com", None),
        ("[::1]:8080", None),
        ("", None),
    ] {
        assert_eq!(table.match_host(host).map(|vendor| vendor.provider.as_str()), provider, "{host}");
    }
}

#[test]
fn paths_name_their_operation() {
    let table = VendorTable::builtin();
    for (host, path, operation) in [
        ("api.openai.com", "/v1/chat/completions", Some("chat")),
        ("api.openai.com", "/v1/responses", Some("chat")),
        ("api.openai.com", "/v1/embeddings", Some("embeddings")),
        ("api.openai.com", "/v1/files", None),
        ("t.openai.azure.com", "/openai/deployments/gpt/chat/completions", Some("chat")),
        ("api.anthropic.com", "/v1/messages", Some("chat")),
        ("api.anthropic.com", "/v1/messages/count_tokens", None),
        (
            "generativelanguage.googleapis.com",
            "/v1beta/models/g:streamGenerateContent",
            Some("generate_content"),
        ),
        ("bedrock-runtime.eu-west-1.amazonaws.com", "/model/anthropic.claude/converse-stream", Some("chat")),
        ("llm.internal", "/proxy/v1/chat/completions", Some("chat")),
        ("localhost", "/api/chat", Some("chat")),
        ("localhost", "/index.html", None),
    ] {
        assert_eq!(table.operation(table.match_host(host), path), operation, "{host}{path}");
    }
}

#[test]
fn hosts_that_have_other_things_need_a_path() {
    let table = VendorTable::builtin();
    for (host, path, provider) in [
        ("acme.snowflakecomputing.com", Some("/api/v2/cortex/inference:complete"), Some("snowflake")),
        ("acme.snowflakecomputing.com", Some("/api/v2/statements"), None),
        ("acme.snowflakecomputing.com", None, None),
        ("adb-1.azuredatabricks.net", Some("/serving-endpoints/chat/completions"), Some("databricks")),
        ("adb-1.azuredatabricks.net", Some("/api/2.0/sql/statements"), None),
        ("api.cloudflare.com", Some("/client/v4/accounts/a/ai/run/m"), Some("cloudflare.workers_ai")),
        ("api.cloudflare.com", Some("/client/v4/zones"), None),
        ("api.openai.com", Some("/v1/files"), Some("openai")),
        ("api.openai.com", None, Some("openai")),
    ] {
        let found = table.of_call(Some(host), Some(443), path).map(|vendor| vendor.provider.as_str());
        assert_eq!(found, provider, "{host} {path:?}");
        assert_eq!(table.is_llm(Some(host), Some(443), path), provider.is_some(), "{host} {path:?}");
    }
    let shared = with_text("tools.example/\topenai\n").unwrap();
    assert!(shared.of_call(Some("tools.example"), None, Some("/wiki")).is_none());
}

#[test]
fn local_servers_are_known_by_port_and_path() {
    let table = VendorTable::builtin();
    let provider = |port, path| table.vendor_by_path(port, path).map(|vendor| vendor.provider.as_str());
    assert_eq!(provider(11434, "/api/chat"), Some("ollama"));
    assert_eq!(provider(11434, "/v1/chat/completions"), Some("ollama"));
    assert_eq!(provider(11434, "/index.html"), None);
    assert_eq!(provider(8000, "/v1/chat/completions"), None);
}

#[test]
fn patterns_match_whole_texts() {
    for (pattern, text, expected) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("a*", "ab", true),
        ("*b", "ab", true),
        ("a*b", "ab", true),
        ("a*a", "a", false),
        ("a*b*c", "a-b-c", true),
        ("a*b*c", "a-c-b", false),
        ("*", "", true),
        ("", "", true),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} on {text}");
    }
}

#[test]
fn times_are_read_in_their_unit() {
    let table = VendorTable::builtin();
    let read = |host, value| table.match_host(host)?.time_headers().next()?.read_ns(value);
    assert_eq!(read("api.openai.com", "412"), Some(412_000_000));
    assert_eq!(read("api.openai.com", "1.5"), Some(1_500_000));
    assert_eq!(read("generativelanguage.googleapis.com", "gfet4t7; dur=318"), Some(318_000_000));
    for value in ["", "-1", "NaN", "inf", "1e300", "x"] {
        assert_eq!(read("api.openai.com", value), None, "{value}");
    }
}

fn with_text(text: &str) -> Result<VendorTable, VendorFileError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    VendorTable::with_file(file.path())
}

#[test]
fn a_user_file_adds_and_overrides() {
    let table = with_text(
        "# ours\n*.llm.example\tgateway\nbest.llm.example\topenai\napi.openai.com\tgateway\n:9000\tgateway\n\
         gateway\tOur gateway\tour.gateway\tx-our-id\tx-our-time:s\t/ask=chat\n",
    )
    .unwrap();
    let provider = |host| table.match_host(host).map(|vendor| vendor.provider.as_str());
    assert_eq!(provider("a.llm.example"), Some("our.gateway"));
    assert_eq!(provider("best.llm.example"), Some("openai"));
    assert_eq!(provider("api.openai.com"), Some("our.gateway"));
    assert_eq!(provider("api.anthropic.com"), Some("anthropic"));
    assert_eq!(table.operation(table.match_host("a.llm.example"), "/ask"), Some("chat"));
    assert_eq!(table.vendor_by_path(9000, "/ask").map(|vendor| vendor.id.as_str()), Some("gateway"));
    let headers = table.answer_headers(Some("a.llm.example"));
    assert_eq!(headers.request_id_headers().collect::<Vec<_>>(), ["x-our-id"]);
    assert_eq!(headers.time_headers().next().unwrap().read_ns("0.25"), Some(250_000_000));
}

#[test]
fn errors_name_the_line_and_what_was_needed() {
    for (text, parts) in [
        ("\n# x\na b c\n", ["line 3", "found 1 fields", "needed 6 fields"]),
        ("https://a.example/\tx\n", ["line 1", "host \"https://a.example/\"", "without scheme"]),
        (":port\tx\n", ["line 1", "port \"port\"", "number"]),
        ("a.example\t\n", ["line 1", "no vendor", "a vendor id"]),
        ("v\tV\tv\t-\tx-time\t-\n", ["line 1", "time header \"x-time\"", "HEADER:ms"]),
        ("v\tV\tv\t-\tx-time:h\t-\n", ["line 1", "unit \"h\"", "HEADER:ms"]),
        ("v\tV\tv\t-\t-\t/chat\n", ["line 1", "path \"/chat\"", "PATTERN=OPERATION"]),
    ] {
        let message = with_text(text).unwrap_err().to_string();
        for part in parts {
            assert!(message.contains(part), "{part:?} is not in {message:?}");
        }
    }
    let missing = VendorTable::with_file(Path::new("/nonexistent/vendors.tsv")).unwrap_err().to_string();
    assert!(missing.contains("/nonexistent/vendors.tsv") && missing.contains("readable"), "{missing}");
}

#[test]
fn paths_name_models() {
    for (path, model) in [
        ("/v1beta/models/gemini-2.0-flash:generateContent", Some("gemini-2.0-flash")),
        (
            "/v1/projects/p/publishers/google/models/gemini-2.5-pro:streamGenerateContent",
            Some("gemini-2.5-pro"),
        ),
        (
            "/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse-stream",
            Some("anthropic.claude-3-haiku-20240307-v1:0"),
        ),
        ("/openai/deployments/my-gpt-4o/chat/completions", Some("my-gpt-4o")),
        ("/v1/chat/completions", None),
        ("/models/", None),
        ("/models/%00/x", None),
        ("/models/chat/completions", None),
    ] {
        assert_eq!(model_of_path(path).as_deref(), model, "{path}");
    }
}
