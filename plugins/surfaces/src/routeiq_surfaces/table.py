"""The endpoints, as data. What answers name (`owns`) and requests refer to (`refers`) are ids that one provider account knows."""

from __future__ import annotations

from attrs import frozen

JOB = ("id", "output_file_id", "error_file_id")
OPENAI, RESPONSES, ANTHROPIC, GEMINI = "openai", "responses", "anthropic", "gemini"
OF_ANTHROPIC = "anthropic-version"
"""The header that tells Anthropic's clients from OpenAI's where their paths are the same."""


@frozen
class Row:
    """`methods` are separated by blanks, `*` is any. `header`: only for requests that have it."""

    operation: str
    methods: str
    path: str
    model: str = "none"
    owns: tuple[str, ...] = ()
    refers: tuple[str, ...] = ()
    header: str = ""


OF_OPENAI = (
    Row("embeddings", "POST", "/embeddings", "body"),
    Row("image_generation", "POST", "/images/generations", "body"),
    Row("image_edit", "POST", "/images/edits", "body"),
    Row("image_variation", "POST", "/images/variations", "body"),
    Row("speech", "POST", "/audio/speech", "body"),
    Row("transcription", "POST", "/audio/transcriptions", "body"),
    Row("translation", "POST", "/audio/translations", "body"),
    Row("moderation", "POST", "/moderations", "body"),
    Row("rerank", "POST", "/rerank", "body"),
    Row("video", "POST", "/videos", "body", ("id",)),
    Row("video", "GET", "/videos"),
    Row("video", "GET DELETE", "/videos/{id}"),
    Row("video", "GET", "/videos/{id}/content"),
    Row("video", "POST", "/videos/{id}/remix", owns=("id",)),
    Row("files", "GET", "/files"),
    Row("files", "POST", "/files", owns=("id",)),
    Row("files", "GET DELETE", "/files/{id}"),
    Row("files", "GET", "/files/{id}/content"),
    Row("uploads", "POST", "/uploads", owns=("id",)),
    Row("uploads", "POST", "/uploads/{id}/parts"),
    Row("uploads", "POST", "/uploads/{id}/complete", owns=("file.id",)),
    Row("uploads", "POST", "/uploads/{id}/cancel"),
    Row("batches", "GET", "/batches"),
    Row("batches", "POST", "/batches", owns=JOB, refers=("input_file_id",)),
    Row("batches", "GET", "/batches/{id}", owns=JOB),
    Row("batches", "POST", "/batches/{id}/cancel", owns=JOB),
    Row("vector_stores", "GET", "/vector_stores"),
    Row("vector_stores", "POST", "/vector_stores", owns=("id",), refers=("file_ids",)),
    Row("vector_stores", "GET POST DELETE", "/vector_stores/{id}"),
    Row("vector_stores", "*", "/vector_stores/{id}/{rest:path}"),
    Row("containers", "GET", "/containers"),
    Row("containers", "POST", "/containers", owns=("id",), refers=("file_ids",)),
    Row("containers", "GET DELETE", "/containers/{id}"),
    Row("containers", "*", "/containers/{id}/{rest:path}"),
    Row("fine_tuning", "GET", "/fine_tuning/jobs"),
    Row("fine_tuning", "POST", "/fine_tuning/jobs", owns=("id",), refers=("training_file", "validation_file")),
    Row("fine_tuning", "GET", "/fine_tuning/jobs/{id}", owns=("id", "result_files")),
    Row("fine_tuning", "*", "/fine_tuning/jobs/{id}/{rest:path}"),
)
OF_RESPONSES = (
    Row("responses", "GET DELETE", "/responses/{id}"),
    Row("responses", "POST", "/responses/{id}/cancel"),
    Row("responses", "GET", "/responses/{id}/input_items"),
    Row("responses_compact", "POST", "/responses/compact", "body", ("id",), ("previous_response_id",)),
    Row("conversations", "POST", "/conversations", owns=("id",)),
    Row("conversations", "GET POST DELETE", "/conversations/{id}"),
    Row("conversations", "*", "/conversations/{id}/{rest:path}"),
)
OF_ANTHROPIC_TOO = (
    Row("files", "GET", "/v1/files", header=OF_ANTHROPIC),
    Row("files", "POST", "/v1/files", owns=("id",), header=OF_ANTHROPIC),
    Row("files", "GET DELETE", "/v1/files/{id}", header=OF_ANTHROPIC),
    Row("files", "GET", "/v1/files/{id}/content", header=OF_ANTHROPIC),
    Row("batches", "GET", "/v1/messages/batches"),
    Row("batches", "POST", "/v1/messages/batches", owns=("id",)),
    Row("batches", "GET DELETE", "/v1/messages/batches/{id}"),
    Row("batches", "POST", "/v1/messages/batches/{id}/cancel"),
    Row("batches", "GET", "/v1/messages/batches/{id}/results"),
    Row("skills", "GET", "/v1/skills"),
    Row("skills", "POST", "/v1/skills", owns=("id",)),
    Row("skills", "GET DELETE", "/v1/skills/{id}"),
    Row("skills", "*", "/v1/skills/{id}/{rest:path}"),
)
OF_GEMINI = (
    Row("embeddings", "POST", "/models/{model:path}:embedContent", "path"),
    Row("embeddings", "POST", "/models/{model:path}:batchEmbedContents", "path"),
    Row("image_generation", "POST", "/models/{model:path}:predict", "path"),
    Row("video", "POST", "/models/{model:path}:predictLongRunning", "path", ("name",)),
    Row("batches", "POST", "/models/{model:path}:batchGenerateContent", "path", ("name",)),
    Row("operations", "GET", "/models/{model:path}/operations/{id}", "path"),
    Row("operations", "GET DELETE", "/operations/{id}"),
    Row("operations", "POST", "/operations/{id}:cancel"),
    Row("batches", "POST", "/models/{model:path}:asyncBatchEmbedContent", "path", ("name",)),
    Row("batches", "GET", "/batches"),
    Row("batches", "GET DELETE", "/batches/{id}"),
    Row("batches", "POST", "/batches/{id}:cancel"),
    Row("batches", "PATCH", "/batches/{id}:updateGenerateContentBatch"),
    Row("batches", "PATCH", "/batches/{id}:updateEmbedContentBatch"),
    Row("files", "GET", "/files"),
    Row("files", "GET DELETE", "/files/{id}"),
    Row("cached_contents", "GET", "/cachedContents"),
    Row("cached_contents", "POST", "/cachedContents", owns=("name",)),
    Row("cached_contents", "GET PATCH DELETE", "/cachedContents/{id}"),
)

LIVE = "/ws/google.ai.generativelanguage.{version}.GenerativeService.BidiGenerateContent"
"""Gemini Live. Its first message names the model, as Google spells it."""
FORMATS = {"anthropic": ANTHROPIC, "gemini": GEMINI, "vertex_ai": GEMINI}
"""Provider → the format in which the gateway's own errors reach the clients of its pass-through; every other one's is OpenAI's."""
