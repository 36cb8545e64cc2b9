"""Drives a server with the unmodified Python Storage client. Started by kbcstorage.test.ts.

usage: kbcstorage_client.py files|tables|workspaces URL TOKEN      (in a working directory of its own)
"""
import csv
import gzip
import json
import os
import sys

import requests
from azure.storage.blob import BlobServiceClient
from kbcstorage.client import Client

part, url, token = sys.argv[1:4]
client = Client(url, token)


def ok(what):
    print("ok " + what, flush=True)


def write(name, data, mode="wb"):
    with open(name, mode) as out:
        out.write(data)
    return name


def read(name):
    with open(name, "rb") as source:
        return source.read()


def refused(status, code, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except requests.HTTPError as error:
        assert error.response.status_code == status, error.response.text
        assert error.response.json()["code"] == code, error.response.text
        return error.response.json()
    raise AssertionError("not refused")


def files():
    verified = client.tokens.verify()
    assert verified["owner"]["fileStorageProvider"] == "azure"
    ok("verify")

    data = b"id,name\n1,\xc5\xbe\n" * 1000
    file_id = client.files.upload_file(write("my data.csv", data), tags=["a", "b", "a"])
    detail = client.files.detail(file_id)
    assert detail["tags"] == ["a", "b"] and detail["sizeBytes"] == len(data), detail
    assert "absCredentials" not in detail and "absPath" not in detail
    assert client.files.detail(file_id, federation_token=True)["absPath"]["name"]
    assert read(client.files.download(file_id, "down")) == data
    response = requests.get(detail["url"])
    assert response.content == data
    assert response.headers["Content-Disposition"] == 'attachment;filename="my data.csv"'
    ok("upload and download")

    zipped = client.files.upload_file(write("zip.csv", data), compress=True)
    assert gzip.decompress(read(client.files.download(zipped, "down"))) == data
    assert client.files.detail(zipped)["fileType"] == "csv"
    ok("gzip")

    empty = client.files.upload_file(write("empty.csv", b""))
    assert read(client.files.download(empty, "down")) == b""
    ok("empty file")

    big = os.urandom(40 * 1024 * 1024)
    big_id = client.files.upload_file(write("big.bin", big), is_permanent=True)
    assert client.files.detail(big_id)["maxAgeDays"] is None
    assert read(client.files.download(big_id, "down")) == big
    ok("40 MB in parts")

    prepared = client.files.prepare_upload("sliced", tags=["s"], is_sliced=True)
    params = prepared["absUploadParams"]
    service = BlobServiceClient.from_connection_string(params["absCredentials"]["SASConnectionString"])
    container = service.get_container_client(params["container"])
    entries = []
    for number in range(3):
        name = "%s.part_%d.csv" % (params["blobName"], number)
        container.upload_blob(name, b"slice %d\n" % number)
        account = "azure://%s.blob.core.windows.net/%s/" % (params["accountName"], params["container"])
        entries.append({"url": account + name, "mandatory": True})
    container.upload_blob(params["blobName"] + "manifest", json.dumps({"entries": entries}))
    assert len(list(container.list_blobs(name_starts_with=params["blobName"]))) == 4
    assert read(client.files.download(prepared["id"], "down")) == b"slice 0\nslice 1\nslice 2\n"
    assert client.files.detail(prepared["id"])["sizeBytes"] == 24
    assert requests.get(client.files.detail(prepared["id"])["url"]).json()["entries"] == entries
    ok("sliced file")

    ids = [file["id"] for file in client.files.list()]
    assert ids == [prepared["id"], big_id, empty, zipped, file_id], ids
    assert [file["id"] for file in client.files.list(limit=1, offset=1)] == [big_id]
    assert [file["id"] for file in client.files.list(tags=["b", "s"])] == [prepared["id"], file_id]
    assert [file["id"] for file in client.files.list(q='tags:"s" OR name:empty*')] == [prepared["id"], empty]
    assert [file["id"] for file in client.files.list(max_id=zipped)] == [file_id]
    refused(400, "query.syntax", client.files.list, q='"open')
    ok("listing")

    client.files.delete(file_id)
    refused(404, "storage.files.notFound", client.files.detail, file_id)
    assert requests.get(detail["url"]).status_code == 404
    ok("delete")


def tables():
    bucket = client.buckets.create("compat", stage="in", description="made by a client")["id"]
    assert bucket == "in.c-compat"
    assert [one["id"] for one in client.buckets.list()] == [bucket]
    ok("create bucket")

    write("users.csv", b'id,name,note\n1,Ann,"a ""b"", c"\n2,Bob,\n3,"line\nbreak",x\n')
    table = client.tables.create(bucket, "users", "users.csv", primary_key=["id"])
    assert table == "in.c-compat.users", table
    detail = client.tables.detail(table)
    assert detail["columns"] == ["id", "name", "note"] and detail["primaryKey"] == ["id"], detail
    assert detail["rowsCount"] == 3, detail
    ok("create table from CSV")

    write("more.csv", b"id,name,note\n2,Bobby,new\n4,Dan,\n")
    results = client.tables.load(table, "more.csv", is_incremental=True)
    assert results["totalRowsCount"] == 4 or results["importedColumns"], results
    assert client.tables.detail(table)["rowsCount"] == 4
    ok("incremental load")

    rows = {row["id"]: row for row in csv.DictReader(client.tables.preview(table).splitlines(keepends=True))}
    assert len(rows) == 4 and rows["2"]["name"] == "Bobby" and rows["1"]["note"] == 'a "b", c', rows
    only = client.tables.preview(table, columns=["name"], where_column="id", where_values=["4"])
    assert only == '"name"\n"Dan"\n', only
    ok("preview")

    for is_gzip in (True, False):
        exported = client.tables.export_to_file(table, ".", is_gzip=is_gzip)
        with open(exported, newline="", encoding="utf-8") as source:
            rows = {row["id"]: row for row in csv.DictReader(source)}
        assert sorted(rows) == ["1", "2", "3", "4"] and rows["3"]["name"] == "line\nbreak", rows
    exported = client.files.detail(client.tables.export(table, columns=["id"]))
    assert exported["isSliced"] and exported["maxAgeDays"] == 2, exported
    ok("export")

    client.tables.load(table, "more.csv")
    assert client.tables.detail(table)["rowsCount"] == 2
    ok("full load")

    write("broken.csv", b"other,columns\n1,2\n")
    try:
        client.tables.load(table, "broken.csv")
        raise AssertionError("a load without the key column went through")
    except RuntimeError as error:
        assert "id" in str(error), error
    assert client.tables.detail(table)["rowsCount"] == 2
    ok("failed load changes nothing")

    assert client.jobs.list()[0]["operationName"] == "tableImport"
    ok("jobs")

    refused(404, "storage.tables.notFound", client.tables.detail, "in.c-compat.nope")
    refused(404, "storage.buckets.notFound", client.buckets.detail, "in.c-nope")
    client.tables.delete(table)
    assert client.buckets.list_tables(bucket) == []
    client.buckets.delete(bucket)
    refused(404, "storage.buckets.notFound", client.buckets.detail, bucket)
    ok("drop")


def workspaces():
    bucket = client.buckets.create("compat", stage="in")["id"]
    write("users.csv", b"id,name\n1,Ann\n2,Bob\n")
    table = client.tables.create(bucket, "users", "users.csv", primary_key=["id"])
    made = client.workspaces.create(backend="redshift")
    workspace = made["id"]
    assert made["connection"]["backend"] == "redshift" and made["connection"]["password"], made
    shown = client.workspaces.detail(workspace)
    assert "password" not in shown["connection"] and client.workspaces.list() == [shown], shown
    ok("create")

    def done(job):
        assert client.jobs.block_for_success(job["id"]), client.jobs.detail(job["id"])
        return client.jobs.detail(job["id"])

    job = done(client.workspaces.load_tables(workspace, {table: "users"}))
    assert job["operationName"] == "workspaceLoad", job
    ok("load by a map")

    columns = [{"source": "id", "type": "INTEGER"}, {"source": "name", "destination": "who"}]
    item = {"source": table, "destination": "typed", "columns": columns, "rows": 1}
    done(client.workspaces.load_tables(workspace, [item], preserve=True))
    again = client.workspaces.load_tables(workspace, [item], preserve=True)
    assert not client.jobs.block_for_success(again["id"])
    assert client.jobs.detail(again["id"])["error"]["code"] == "workspace.duplicateTable"
    done(client.workspaces.load_tables(workspace, [item], preserve=False))
    ok("load by a list")

    refused(400, "workspace.loadRequestCloneNotSupported",
            client.workspaces.load_tables, workspace, {table: "x"}, load_type="load-clone")
    refused(404, "workspace.sourceNotFound", client.workspaces.load_tables, workspace, {"in.c-compat.no": "x"})
    assert client.workspaces.reset_password(workspace)["password"] != made["connection"]["password"]
    ok("refusals and a new password")

    create = {"name": "back", "dataWorkspaceId": workspace, "dataObject": "typed"}
    headers = {"X-StorageApi-Token": token}
    job = requests.post(url + "/v2/storage/buckets/" + bucket + "/tables-async", data=create, headers=headers).json()
    assert done(job)["results"]["columns"] == ["id", "who"]
    ok("table from a workspace")

    client.workspaces.delete(workspace)
    refused(404, "workspace.workspaceNotFound", client.workspaces.detail, workspace)
    assert client.workspaces.list() == []
    ok("drop")


{"files": files, "tables": tables, "workspaces": workspaces}[part]()
