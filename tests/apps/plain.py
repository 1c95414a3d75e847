"""As little as FastAPI can do. Run: uvicorn plain:app"""

from fastapi import FastAPI

app = FastAPI()


@app.get("/plain/{identity}")
async def plain(identity: str) -> dict[str, str]:
    return {"id": identity}
