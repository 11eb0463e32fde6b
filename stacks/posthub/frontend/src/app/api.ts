import { HttpClient } from '@angular/common/http';
import { Injectable, inject } from '@angular/core';
import { Observable } from 'rxjs';

export interface Post {
  id: number;
  author: string;
  title: string;
  body: string;
  created: string;
  embedded: boolean;
}

export interface SimilarPost extends Post {
  distance: number;
}

export interface Page<T> {
  count: number;
  results: T[];
}

export interface Credentials {
  username: string;
  password: string;
}

const ROOT = '/api/v1';

@Injectable({ providedIn: 'root' })
export class Api {
  private readonly http = inject(HttpClient);

  register(credentials: Credentials): Observable<unknown> {
    return this.http.post(`${ROOT}/auth/register/`, credentials);
  }

  login(credentials: Credentials): Observable<{ access: string; refresh: string }> {
    return this.http.post<{ access: string; refresh: string }>(`${ROOT}/auth/login/`, credentials);
  }

  posts(): Observable<Page<Post>> {
    return this.http.get<Page<Post>>(`${ROOT}/posts/`);
  }

  post(id: number): Observable<Post> {
    return this.http.get<Post>(`${ROOT}/posts/${id}/`);
  }

  create(post: { title: string; body: string }): Observable<Post> {
    return this.http.post<Post>(`${ROOT}/posts/`, post);
  }

  similar(id: number): Observable<SimilarPost[]> {
    return this.http.get<SimilarPost[]>(`${ROOT}/posts/${id}/similar/`);
  }
}
