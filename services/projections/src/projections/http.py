"""HTTP of the projections."""

from fastapi import APIRouter

router = APIRouter()
