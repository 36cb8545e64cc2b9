"""Drives a server with the unmodified Python client of Airbyte. Started by airbyte-api.test.ts.

usage: airbyte_client.py resources|sync URL CLIENT_ID CLIENT_SECRET WORKSPACE_ID      (URL with the prefix of the API)
"""
import sys
import time
from datetime import datetime, timedelta, timezone

from airbyte_api import AirbyteAPI, api, errors, models

part, url, client_id, client_secret, workspace_id = sys.argv[1:6]
STORAGE = "0c9a7f64-3f0b-4f0e-8a53-6d0a8b1f5c02"


def connect(**security):
    # A connector of other makers takes its time on a busy machine; the client itself waits for five seconds.
    return AirbyteAPI(server_url=url, security=models.Security(**security), timeout_ms=60_000)


def credentials(token_url, secret=client_secret):
    return connect(
        client_credentials=models.SchemeClientCredentials(
            client_id=client_id, client_secret=secret, token_url=token_url
        )
    )


client = credentials(url + "/applications/token")


def ok(what):
    print("ok " + what, flush=True)


def refused(status, title, call, **arguments):
    try:
        call(**arguments)
    except errors.AirbyteAPIError as error:
        assert error.status_code == status, f"{error.status_code} {error.body}"
        assert title in error.body, error.body
        return
    raise AssertionError("not refused")


def tokens():
    assert client.health.get_health_check().status_code == 200
    relative = url[url.index("/", 8) :] + "/applications/token"
    for token_url in [url + "/applications/token", relative]:
        assert credentials(token_url).sources.list_sources(request={}).sources_response.data == []
    basic = models.SchemeBasicAuth(username=client_id, password=client_secret)
    assert connect(basic_auth=basic).workspaces.list_workspaces(request={}).status_code == 200
    refused(401, "invalid-api-key", connect(bearer_auth="x").sources.list_sources, request={})
    try:
        credentials(url + "/applications/token", "wrong").sources.list_sources(request={})
        raise AssertionError("a wrong secret opens")
    except Exception as error:
        assert "401" in str(error), error
    ok("tokens")


def workspaces():
    found = client.workspaces.list_workspaces(request={}).workspaces_response.data
    assert [one.workspace_id for one in found] == [workspace_id]
    one = client.workspaces.get_workspace(request={"workspace_id": workspace_id}).workspace_response
    assert one.workspace_id == workspace_id and one.name, one
    refused(404, "resource-not-found", client.workspaces.get_workspace, request={"workspace_id": "nothing"})
    ok("workspaces")


def sources():
    made = [
        client.sources.create_source(
            request=models.SourceCreateRequest(
                name=f"stripe {number}",
                workspace_id=workspace_id,
                configuration=models.SourceStripe(
                    account_id="a", client_secret="se-cret", start_date=datetime(2024, 1, 1, tzinfo=timezone.utc)
                ),
            )
        ).source_response
        for number in range(3)
    ]
    first = made[0]
    assert first.source_type == "stripe" and first.workspace_id == workspace_id, first
    assert first.configuration.client_secret.strip("*") == "", first.configuration
    pages = [
        client.sources.list_sources(request={"workspace_ids": [workspace_id], "limit": 2, "offset": offset})
        for offset in (0, 2)
    ]
    listed = [page.sources_response for page in pages]
    assert [len(page.data) for page in listed] == [2, 1]
    assert listed[0].next and not listed[1].next and listed[1].previous, listed
    assert {one.source_id for page in listed for one in page.data} == {one.source_id for one in made}
    again = client.sources.get_source(request={"source_id": first.source_id}).source_response
    assert again == first
    renamed = client.sources.patch_source(
        request=api.PatchSourceRequest(
            source_id=first.source_id, source_patch_request=models.SourcePatchRequest(name="other")
        )
    ).source_response
    assert renamed.name == "other" and renamed.configuration == first.configuration
    replaced = client.sources.put_source(
        request=api.PutSourceRequest(
            source_id=first.source_id,
            source_put_request=models.SourcePutRequest(name="put", configuration=first.configuration),
        )
    ).source_response
    assert replaced.name == "put" and replaced.configuration == first.configuration
    refused(
        422, "unprocessable-entity", client.streams.get_stream_properties, request={"source_id": first.source_id}
    )
    for one in made:
        assert client.sources.delete_source(request={"source_id": one.source_id}).status_code == 204
    refused(404, "resource-not-found", client.sources.get_source, request={"source_id": first.source_id})
    deleted = client.sources.list_sources(request={"include_deleted": True}).sources_response
    assert len(deleted.data) == 3
    ok("sources")


def storage(name):
    """The client knows no destination but its own: the definition decides, and the configuration has any shape."""
    request = models.DestinationCreateRequest(
        name=name,
        workspace_id=workspace_id,
        definition_id=STORAGE,
        configuration=models.DestinationDuckdb(destination_path="storage"),
    )
    return client.destinations.create_destination(request=request).destination_response


def destinations():
    made = client.destinations.create_destination(
        request=models.DestinationCreateRequest(
            name="postgres",
            workspace_id=workspace_id,
            configuration=models.DestinationPostgres(
                host="h", port=5432, database="d", schema_="s", username="u", password="pass-word"
            ),
        )
    ).destination_response
    assert made.configuration.password.strip("*") == "" and made.configuration.host == "h", made
    ours = storage("storage")
    assert ours.destination_type == "millrace-storage" and ours.definition_id == STORAGE, ours
    found = client.destinations.list_destinations(request={}).destinations_response.data
    assert [one.name for one in found] == ["postgres", "storage"]
    patched = client.destinations.patch_destination(
        request=api.PatchDestinationRequest(
            destination_id=made.destination_id,
            destination_patch_request=models.DestinationPatchRequest(
                name="other", configuration=models.DestinationPostgres(**{**made.configuration.model_dump(), "host": "i"})
            ),
        )
    ).destination_response
    assert patched.configuration.host == "i" and patched.configuration.password == made.configuration.password
    put = client.destinations.put_destination(
        request=api.PutDestinationRequest(
            destination_id=made.destination_id,
            destination_put_request=models.DestinationPutRequest(name="put", configuration=patched.configuration),
        )
    ).destination_response
    assert put.name == "put"
    for one in (made, ours):
        got = client.destinations.get_destination(request={"destination_id": one.destination_id})
        assert got.destination_response.destination_id == one.destination_id
        deleted = client.destinations.delete_destination(request={"destination_id": one.destination_id})
        assert deleted.status_code == 204
    ok("destinations")


def definitions():
    found = client.source_definitions.list_source_definitions(request={"workspace_id": workspace_id})
    names = {one.name: one for one in found.definitions_response.data}
    assert "Stripe" in names and "Snowflake" in names
    one = client.source_definitions.get_source_definition(
        request={"workspace_id": workspace_id, "definition_id": names["Stripe"].id}
    ).definition_response
    assert one == names["Stripe"]
    listed = client.destination_definitions.list_destination_definitions(request={"workspace_id": workspace_id})
    assert STORAGE in {one.id for one in listed.definitions_response.data}
    ok("definitions")


def until_end(job):
    while job.status.value not in ("succeeded", "failed", "cancelled"):
        time.sleep(0.2)
        job = client.jobs.get_job(request={"job_id": job.job_id}).job_response
    return job


def start(connection_id, job_type):
    request = models.JobCreateRequest(connection_id=connection_id, job_type=models.JobTypeEnum(job_type))
    return client.jobs.create_job(request=request).job_response


def sync():
    source = client.sources.create_source(
        request=models.SourceCreateRequest(
            name="faker", workspace_id=workspace_id, configuration=models.SourceFaker(count=60, seed=11)
        )
    ).source_response
    assert source.source_type == "faker" and source.configuration.count == 60, source
    destination = storage("storage")
    streams = client.streams.get_stream_properties(
        request={"source_id": source.source_id, "destination_id": destination.destination_id}
    ).stream_properties_response
    users = {one.stream_name: one for one in streams}["users"]
    assert users.source_defined_primary_key == [["id"]] and users.default_cursor_field == ["updated_at"], users
    assert ["address", "city"] in users.property_fields
    ok("streams")

    plain = client.connections.create_connection(
        request=models.ConnectionCreateRequest(source_id=source.source_id, destination_id=destination.destination_id)
    ).connection_response
    assert plain.name == "faker <> storage" and plain.status.value == "active", plain
    assert len(plain.configurations.streams) == 3, plain
    configured = models.StreamConfigurations(
        streams=[
            models.StreamConfiguration(
                name="users", sync_mode=models.ConnectionSyncModeEnum.INCREMENTAL_DEDUPED_HISTORY
            ),
            models.StreamConfiguration(
                name="products",
                sync_mode=models.ConnectionSyncModeEnum.FULL_REFRESH_OVERWRITE,
                selected_fields=[models.SelectedFieldInfo(field_path=[name]) for name in ("id", "make")],
            ),
        ]
    )
    connection = client.connections.create_connection(
        request=models.ConnectionCreateRequest(
            name="people",
            source_id=source.source_id,
            destination_id=destination.destination_id,
            configurations=configured,
            prefix="fake_",
            schedule=models.AirbyteAPIConnectionSchedule(
                schedule_type=models.ScheduleTypeEnum.CRON, cron_expression="0 0 12 * * ?"
            ),
        )
    ).connection_response
    assert connection.schedule.cron_expression == "0 0 12 * * ? UTC", connection
    found = client.connections.list_connections(request={"workspace_ids": [workspace_id]}).connections_response
    assert [one.name for one in found.data] == ["faker <> storage", "people"]
    got = client.connections.get_connection(request={"connection_id": connection.connection_id})
    assert got.connection_response == connection
    patched = client.connections.patch_connection(
        request=api.PatchConnectionRequest(
            connection_id=connection.connection_id,
            connection_patch_request=models.ConnectionPatchRequest(
                name="renamed",
                schedule=models.AirbyteAPIConnectionSchedule(schedule_type=models.ScheduleTypeEnum.MANUAL),
            ),
        )
    ).connection_response
    assert patched.name == "renamed" and patched.configurations == connection.configurations, patched
    ok("connections")

    job = start(connection.connection_id, "sync")
    refused(
        409,
        "try-again-later",
        client.jobs.create_job,
        request=models.JobCreateRequest(
            connection_id=connection.connection_id, job_type=models.JobTypeEnum.SYNC
        ),
    )
    job = until_end(job)
    assert job.status.value == "succeeded" and job.rows_synced == 120, job
    ok("sync")
    cancelled = start(connection.connection_id, "sync")
    client.jobs.cancel_job(request={"job_id": cancelled.job_id})
    assert until_end(cancelled).status.value == "cancelled"
    refused(409, "state-conflict", client.jobs.cancel_job, request={"job_id": cancelled.job_id})
    hour_ago = datetime.now(timezone.utc) - timedelta(hours=1)
    jobs = client.jobs.list_jobs(
        request={"connection_id": connection.connection_id, "created_at_start": hour_ago, "order_by": "createdAt|DESC"}
    ).jobs_response.data
    assert [one.job_id for one in jobs] == [cancelled.job_id, job.job_id]
    only = client.jobs.list_jobs(
        request={
            "workspace_ids": [workspace_id],
            "status": models.JobStatusEnum.SUCCEEDED,
            "job_type": models.JobTypeEnum.SYNC,
        }
    ).jobs_response.data
    assert [one.job_id for one in only] == [job.job_id]
    ok("jobs")
    assert until_end(start(plain.connection_id, "reset")).status.value == "succeeded"
    assert client.connections.delete_connection(request={"connection_id": plain.connection_id}).status_code == 204
    refused(
        404, "resource-not-found", client.connections.get_connection, request={"connection_id": plain.connection_id}
    )
    assert client.sources.delete_source(request={"source_id": source.source_id}).status_code == 204
    left = client.connections.list_connections(request={"include_deleted": True}).connections_response.data
    assert {one.status.value for one in left} == {"deprecated"}, left
    ok("deletes")


if part == "resources":
    for step in (tokens, workspaces, sources, destinations, definitions):
        step()
else:
    sync()
