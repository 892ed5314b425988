"""Examples in the OpenAPI document, which work unchanged."""

from fastapi.openapi.models import Example

# The cat of tests/data/chelsea.png, 96x64, JPEG.
PICTURE = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywt"
    "QFdBRkxOUlNSMj5aYVpQYEpRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09PT09P"
    "T09PT09PT09PT09PT09PT09PT0//wAARCABAAGADASIAAhEBAxEB/8QAGgAAAwEBAQEAAAAAAAAAAAAAAwQFAgYBAP/E"
    "ADAQAAIBAwMDAwIDCQAAAAAAAAECAwAEERIhMQUTQSJRYRRxBlKRIzJCQ2KBoeHx/8QAGAEBAQEBAQAAAAAAAAAAAAAA"
    "AgMBBAD/xAAdEQADAAIDAQEAAAAAAAAAAAAAARECIQMSQRNR/9oADAMBAAIRAxEAPwBu5hEKM6nbFRO5JPKqgHbYseK6"
    "bqNuq2cp5yvFRLWLsjS5BJGwPNc/Jo6uMOjrCogRckDP2pWSYsxUEsTyBtWnGnCqBlvGOa87DdvREPU21TbGhSQIpLOQ"
    "recHOPimEwUdCGGRjPIoLxSIFcjcNgnzmj3ZZIEIOGZgM+a9TIJdnXYwMp1mMEMxGCBWbYyo2tGbtY04Pv4NP3cTRyx6"
    "cjvxFWx7jfNLxxmUQQhzoeUbj2Azj9a20yDlm/e2LaSDvTEjAErncc5NAtlVVdgCWU75HzWptCMZJGyuPT81uLa0ap6S"
    "upH6ptAH7NT+pqebJfy1YXRJxXvZHtVIwN/p0PV5lW1ILYJ4Fc3c3IQhWwZDwo5zWrdpb1WkuHJLZwM8U3YWUGzr638s"
    "TnFTzdYsVEK28d0rATXDYffGxFM9QkurbsQ27xhpmI1lc4AGaNfKV2UAgbj4pR5GnjSNyFljbVEx4z5Bqfo/Cbf9QvLO"
    "dEFwsjsM6WUcZxT9ncr1Hto69uaEhmT3HuKm9QtLY36XNxI8LKN0ZSc/bHNa6Vcq34gRlVlR00b+3inrJE8W09nQz6Zj"
    "hxhlHpPt4raQRRRISMFG1A/NZuo8OSPivZ5QIsjfShbH2FH0YNTHFPcMzqiMdtRxRVhWQKHwy+CDkVytp3bvqc7XYJVQ"
    "dRbjH/K6XpdmyWcCmUqrKDpIppRgvZUD1COK0UMmKBBKJFyaq3vRjdKMS8fNTpulXluvoGoVZgSAW0TQphTq04GT5raN"
    "LbXZMJwHGdJ4Nbs3BmIfYMMYNMXVtldjjHBqE9Kpil3d3Eg0GFl+fasCTAzJpH2o8Mrau3MwyODnmm/po3XBRaMFRaCZ"
    "wNCkMPysM1Ovo3S7S4UDWGBqrJHHGQFOCN99qWliSdGO+2RgjmptwSGoZ++AXIJ8151RWhtMr/MXSceBmpNhLomaMsMA"
    "7VT6nLrsolVtyQDRVprSALaW6nMs8s6jB7ZwoPtnHNElupmbWxwBwB4rCRvL/SF2aqUdjBcRgKwB8iujjxpHJwmfW3Kt"
    "qSRse1MJfdScAhcrTVz06OEKQds1QhCKgUKOKtGTpykLmK5Vsrz/AIrolUSxDIyKhQKs2l8H+4roLcjtgCpYvwoxK4sg"
    "67AAjgkcVm1keNtE51Y/iC4FUXAI4zSsqAnJ8VsPUDdSAghu0+Rj1r4ryyRQ5OkBT4D5FfSLqG+aVdZFPpP61P57H2J/"
    "XbBLKRbq2KiJ2w6tvp+1b6dbyTILm4dliUZRc/vf6ostvJcqEkwUyCR70yY2UANJgDwKbSM7NaC2yKsBOchjk7EVqLSk"
    "jSRltR4Ga3BbvMAqbJ5zVGG1igTZcn3NbioTbpPlumuGjjwQwOSDVSFSEGeaji7hi6myaCWbYYqoJJuSiqPk1VBP/9k="
)

GENERATE: dict[str, Example] = {
    "picture": {
        "summary": "A question about a picture",
        "value": {"prompt": "What is in this picture?", "images": [PICTURE]},
    },
    "text": {
        "summary": "Text only, answered in German",
        "value": {"prompt": "Why is the sky blue?", "max_gen_len": 64, "language": "de"},
    },
}

CHAT: dict[str, Example] = {
    "picture": {
        "summary": "A question about a picture",
        "value": {
            "model": "us.meta.llama3-2-11b-instruct-v1:0",
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What is in this picture?"},
                        {
                            "type": "image_url",
                            "image_url": {"url": f"data:image/jpeg;base64,{PICTURE}"},
                        },
                    ],
                }
            ],
        },
    },
}

RAG: dict[str, Example] = {
    "question": {
        "summary": "A question that a document answers",
        "value": {"knowledge_base": "sample", "question": "How much is a day ticket?"},
    },
    "filter": {
        "summary": "Only the chunks, of documents that pass a filter",
        "value": {
            "knowledge_base": "sample",
            "question": "opening hours",
            "mode": "retrieve",
            "filter": {"equals": {"key": "language", "value": "en"}},
        },
    },
    "nothing": {
        "summary": "A question that no document answers",
        "value": {"knowledge_base": "sample", "question": "Who won the chess final?"},
    },
}

RESPONSES: dict[str, Example] = {
    "picture": {
        "summary": "A question about a picture",
        "value": {
            "model": "us.meta.llama3-2-11b-instruct-v1:0",
            "input": [
                {
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "What is in this picture?"},
                        {"type": "input_image", "image_url": f"data:image/jpeg;base64,{PICTURE}"},
                    ],
                }
            ],
        },
    },
    "text": {
        "summary": "Text only",
        "value": {"model": "us.meta.llama3-2-11b-instruct-v1:0", "input": "Why is the sky blue?"},
    },
}
