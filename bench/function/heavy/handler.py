# What a function with a real library or two imports, from the standard library alone.
import asyncio
import concurrent.futures
import ctypes
import decimal
import email.message
import http.client
import multiprocessing
import sqlite3
import ssl
import unittest
import urllib.request
import xml.etree.ElementTree


def handler(event, context):
    return event
