"""Tags on the wire."""

from __future__ import annotations

from airflow_guardrails.aws.reading import Answer, sections_of, text_of


def parse_tags(answer: Answer) -> list[dict[str, str]]:
    """Read a page of ListTags; a tag without a key is left out, and one without a value has an empty one."""
    return [
        {"Key": key, "Value": text_of(tag, "Value") or ""}
        for tag in sections_of(answer, "Tags")
        if (key := text_of(tag, "Key"))
    ]
