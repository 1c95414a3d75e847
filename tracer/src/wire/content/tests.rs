use super::*;

fn asked(body: &str) -> Asked {
    let mut question = Question::new(Asked::default());
    question.read(Piece::Copied(body.as_bytes()));
    question.asked
}

/// What an answer tells in all, and in which of its pieces there is content.
fn told(format: Format, pieces: &[&str]) -> (Told, Vec<usize>) {
    let mut answer = reader(format, "");
    let mut with_content = Vec::new();
    for (number, piece) in pieces.iter().enumerate() {
        answer.read(Piece::Copied(piece.as_bytes()));
        let mut marks = Vec::new();
        answer.tell(&mut marks);
        if marks.contains(&Mark::Content) {
            with_content.push(number);
        }
    }
    (answer.told, with_content)
}

fn reader(format: Format, coding: &str) -> Answer {
    Answer::new(format, coding, &Room::default()).expect("it is read")
}

fn counts(model: &str, input: u64, output: u64) -> Told {
    Told {
        model: Some(model.to_owned()),
        input_tokens: Some(input),
        output_tokens: Some(output),
        is_ended: true,
        is_failed: false,
    }
}

#[test]
fn a_question_names_its_model_at_the_top() {
    let of = |model: Option<&str>, stream| Asked { model: model.map(str::to_owned), stream, retries: None };
    for (body, expected) in [
        (
            r#"{"model":"gpt-4o","stream":true,"messages":[{"content":"\"model\":\"x\""}]}"#,
            of(Some("gpt-4o"), Some(true)),
        ),
        (
            r#"{"messages":[{"model":"no","stream":true}],"model":"claude-sonnet-4"}"#,
            of(Some("claude-sonnet-4"), None),
        ),
        (r#"{"model":"","stream":null}"#, of(None, None)),
        (r#"{"model":"two words"}"#, of(None, None)),
        ("no JSON", of(None, None)),
    ] {
        assert_eq!(asked(body), expected, "{body}");
    }
}

#[test]
fn openai_chat() {
    let events = [
        r#"data: {"id":"c","model":"gpt-4o-2024","choices":[{"delta":{"role":"assistant","content":""}}]}"#,
        "\n\n",
        "data: {\"model\":\"gpt-4o-2024\",\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n",
    ];
    assert_eq!(told(Format::ServerSentEvents, &events), (counts("gpt-4o-2024", 11, 2), vec![2]));
}

#[test]
fn openai_responses() {
    let events = [
        "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"model\":\"gpt-4o\",\"output\":[],\"usage\":null}}\n\n",
        "event: response.content_part.added\ndata: {\"part\":{\"type\":\"output_text\",\"text\":\"\"}}\n\n",
        "event: response.output_text.delta\ndata: {\"delta\":\"Hi\"}\n\n",
        "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"model\":\"gpt-4o\",\"usage\":{\"input_tokens\":5,\"input_tokens_details\":{\"cached_tokens\":0},\"output_tokens\":7}}}\n\n",
    ];
    assert_eq!(told(Format::ServerSentEvents, &events), (counts("gpt-4o", 5, 7), vec![2]));
}

#[test]
fn anthropic() {
    let events = [
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"claude-3\",\"content\":[],\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n",
        "event: content_block_start\ndata: {\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\nevent: ping\ndata: {\"type\": \"ping\"}\n\n",
        "event: content_block_delta\ndata: {\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\n",
        "event: message_delta\ndata: {\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":4}}\n\n",
    ];
    assert_eq!(told(Format::ServerSentEvents, &events), (counts("claude-3", 9, 4), vec![2]));
}

#[test]
fn gemini() {
    let events = [
        "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"Hi\"}],\"role\": \"model\"}}],\"usageMetadata\": {\"promptTokenCount\": 3},\"modelVersion\": \"gemini-2\"}\r\n\r\n",
        "data: {\"usageMetadata\": {\"promptTokenCount\": 3,\"candidatesTokenCount\": 6},\"candidates\":[{\"finishReason\":\"STOP\"}]}\r\n\r\n",
    ];
    assert_eq!(told(Format::ServerSentEvents, &events), (counts("gemini-2", 3, 6), vec![0]));
}

#[test]
fn ollama() {
    let lines = [
        "{\"model\":\"llama3\",\"message\":{\"role\":\"assistant\",\"content\":\"Hi\"},\"done\":false}\n",
        "{\"model\":\"llama3\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,\"prompt_eval_count\":26,\"eval_count\":8}\n",
    ];
    assert_eq!(told(Format::Json, &lines), (counts("llama3", 26, 8), vec![0]));
}

#[test]
fn what_is_behind_a_gap_still_counts() {
    let mut answer = reader(Format::Json, "");
    answer.read(Piece::Copied(
        br#"{"model":"gpt-4o","choices":[{"finish_reason":"stop","message":{"content":"A long"#,
    ));
    answer.read(Piece::Hidden(50_000));
    answer.read(Piece::Copied(br#"story."}}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#));
    assert_eq!(answer.told, counts("gpt-4o", 1, 2));

    let mut answer = reader(Format::ServerSentEvents, "");
    answer.read(Piece::Copied(b"event: response.completed\ndata: {\"response\":{\"output\":[\"A long"));
    answer.read(Piece::Hidden(50_000));
    answer.read(Piece::Copied(b"\"],\"usage\":{\"input_tokens\":1,\"output_tokens\":2}}}\n\ndata: {\"response\":{\"model\":\"m\"}}\n\ndata: [DONE]\n"));
    assert_eq!(answer.told, counts("m", 1, 2));
}

#[test]
fn an_error_is_told() {
    let body = r#"{"error":{"message":"refused","type":"lab","code":null}}"#;
    let failed = Told { is_failed: true, ..Told::default() };
    assert_eq!(told(Format::Json, &[body]), (failed.clone(), vec![]));
    assert_eq!(told(Format::Json, &[r#"{"error":"model not found"}"#]), (failed.clone(), vec![]));
    let event = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n";
    assert_eq!(told(Format::ServerSentEvents, &[event]), (failed, vec![]));
    assert_eq!(
        told(Format::Json, &[r#"{"error":null,"incomplete_details":null}"#]),
        (Told::default(), vec![])
    );
}

#[test]
fn bedrock() {
    let converse = [
        event_stream::tests::message(br#"{"role":"assistant"}"#),
        event_stream::tests::message(br#"{"contentBlockIndex":0,"delta":{"text":"Hi"},"p":"ab"}"#),
        event_stream::tests::message(
            br#"{"metrics":{"latencyMs":7},"usage":{"inputTokens":3,"outputTokens":4}}"#,
        ),
    ];
    let wrapped = |payload: &[u8]| event_stream::tests::message(&event_stream::tests::wrapped(payload));
    let invoke = [
        wrapped(br#"{"type":"content_block_start","content_block":{"text":""}}"#),
        wrapped(br#"{"delta":{"type":"text_delta","text":"Hi"}}"#),
        wrapped(br#"{"amazon-bedrock-invocationMetrics":{"inputTokenCount":3,"outputTokenCount":4}}"#),
    ];
    for messages in [converse, invoke] {
        let mut answer = reader(Format::AmazonEventStream, "");
        let mut marks = Vec::new();
        for message in &messages {
            answer.read(Piece::Copied(message));
            answer.tell(&mut marks);
        }
        let told = Told { input_tokens: Some(3), output_tokens: Some(4), ..Told::default() };
        assert_eq!(marks, [Mark::Content, Mark::Told(told)]);
    }
}

#[test]
fn what_is_compressed_is_read_while_it_is_whole() {
    let body =
        br#"{"model":"gpt-4o","finish_reason":"stop","usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, body).expect("it is memory");
    let compressed = encoder.finish().expect("it is memory");
    let (first, rest) = compressed.split_at(20);
    for (between, expected) in [(None, counts("gpt-4o", 1, 2)), (Some(Piece::Hidden(1)), Told::default())] {
        let mut answer = reader(Format::Json, "gzip");
        answer.read(Piece::Copied(first));
        between.into_iter().for_each(|gap| answer.read(gap));
        answer.read(Piece::Copied(rest));
        assert_eq!(answer.told, expected);
    }
    assert!(Answer::new(Format::Json, "compress", &Room::default()).is_none());
}

#[test]
fn a_question_names_its_model_behind_a_long_prompt() {
    let mut question = Question::new(Asked { retries: Some(0), ..Asked::default() });
    question.read(Piece::Copied(br#"{"messages":[{"content":"A long"#));
    question.read(Piece::Hidden(50_000));
    question.read(Piece::Copied(br#"\"model\":\"no\" story."}],"model":"gpt-4o","stream":true}"#));
    let expected = Asked { model: Some("gpt-4o".to_owned()), stream: Some(true), retries: Some(0) };
    assert_eq!(question.asked, expected);
}
