"""
The routes of the page. All of them only read, and all of them need a user whom Airflow knows.

A document of the API has an ETag of everything but ``now``. A client that gets 304 keeps its document, and
finds the server's time in the header ``Date``.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated, Any

from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep, get_user
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response, status

from airflow_guardrails.domain.rollout.outcome import Outcome
from airflow_guardrails.domain.shadow.state import ShadowTestOutcome
from airflow_guardrails.domain.times import format_time
from airflow_guardrails.plugins._web import access, reads
from airflow_guardrails.plugins._web.items import Kind, Position, history_entry, in_full, in_list
from airflow_guardrails.plugins._web.responses import SafeHeaders, file_response, json_response

_OUTCOMES = frozenset(outcome.value for outcome in (*Outcome, *ShadowTestOutcome))
_LIMIT = 25
_LONGEST_LIST = 100
_HISTORY = 20

_MapIndex = Annotated[int, Query(ge=-1)]
_Limit = Annotated[int, Query(ge=1, le=_LONGEST_LIST)]


def create_app() -> FastAPI:
    """Return the app, for Airflow to mount in its API server."""
    app = FastAPI(
        title="Rollouts",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        # For every route, also one that is added later.
        dependencies=[Depends(get_user)],
    )
    app.add_middleware(SafeHeaders)
    app.add_api_route("/rollouts", _page, methods=["GET"])
    app.add_api_route("/static/{name}", _static, methods=["GET"])
    app.add_api_route("/api/rollouts", _rollouts, methods=["GET"])
    app.add_api_route("/api/rollout", _rollout, methods=["GET"])
    return app


def _page(request: Request) -> Response:
    return file_response(request, "rollouts.html")


def _static(request: Request, name: str) -> Response:
    return file_response(request, name)


def _rollouts(
    request: Request,
    *,
    user: GetUserDep,
    session: SessionDep,
    endpoint: str | None = None,
    outcome: str | None = None,
    live: bool | None = None,
    kind: Kind | None = None,
    limit: _Limit = _LIMIT,
    before: str | None = None,
) -> Response:
    wanted = reads.Wanted(endpoint=endpoint, outcome=_outcome(outcome), live=live, kind=kind)
    page = reads.read_page(session, _readable(user, session), wanted, limit=limit, before=_position(before))
    cursor = page.next.as_cursor() if page.next else None
    return _document(request, items=[in_list(item) for item in page.items], next=cursor)


def _rollout(
    request: Request,
    *,
    user: GetUserDep,
    session: SessionDep,
    dag_id: str,
    run_id: str,
    task_id: str,
    map_index: _MapIndex = -1,
) -> Response:
    if not access.may_read(dag_id, user=user, session=session):
        raise HTTPException(status.HTTP_403_FORBIDDEN, "Forbidden")
    item = reads.read_item(session, dag_id=dag_id, run_id=run_id, task_id=task_id, map_index=map_index)
    if item is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "This task instance has reported no rollout")
    history: tuple[Any, ...] = ()
    rollback = None
    if item.endpoint:
        wanted = reads.Wanted(endpoint=item.endpoint)
        history = reads.read_page(session, _readable(user, session), wanted, limit=_HISTORY).items
        if item.outcome == Outcome.SUCCEEDED.value:
            rollback = access.first_readable(reads.read_rollback_dags(session), user=user, session=session)
    return _document(
        request, item=in_full(item), history=[history_entry(past) for past in history], rollback=rollback
    )


def _readable(user: Any, session: SessionDep) -> frozenset[str]:
    return access.readable(reads.read_dag_ids(session), user=user, session=session)


def _document(request: Request, **document: Any) -> Response:
    return json_response(request, document, now=format_time(datetime.now(timezone.utc)))


def _outcome(outcome: str | None) -> str | None:
    if outcome is not None and outcome not in _OUTCOMES:
        raise HTTPException(status.HTTP_422_UNPROCESSABLE_ENTITY, "outcome is not one that a report has")
    return outcome


def _position(cursor: str | None) -> Position | None:
    try:
        return None if cursor is None else Position.from_cursor(cursor)
    except ValueError:
        raise HTTPException(
            status.HTTP_422_UNPROCESSABLE_ENTITY, "before is not a cursor of this API"
        ) from None
